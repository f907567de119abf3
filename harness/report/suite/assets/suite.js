(() => {
'use strict';
const $ = (id) => document.getElementById(id);
const root = document.documentElement;
const dark = () => root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
const nameTheme = () => {
  $('theme').hidden = false;
  $('theme').textContent = dark() ? 'Light' : 'Dark';
  $('theme').setAttribute('aria-label', `Switch to the ${dark() ? 'light' : 'dark'} theme`);
};
$('theme').addEventListener('click', () => { root.dataset.theme = dark() ? 'light' : 'dark'; nameTheme(); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', nameTheme);
nameTheme();
for (const title of document.querySelectorAll('main > section > h2')) {
  const link = document.createElement('a');
  link.href = `#${title.closest('section').id}`;
  link.textContent = title.dataset.short || title.textContent;
  $('nav').append(link);
}
root.dataset.ready = 'yes';
})();
