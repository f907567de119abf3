// Which failures are chosen: by cause, pod, kind and words, all of which must hold.
const chosen = { cause: null, pod: null, kind: null, text: '' };
const onChoice = [];
let rows = null; // the columns, once they are unpacked
let shown = null; // 1 for each failure that is chosen
let shownCount = 0;

const anything = () => chosen.cause !== null || chosen.pod !== null || chosen.kind !== null || chosen.text !== '';

function choose(what, value) {
  chosen[what] = chosen[what] === value ? null : value;
  apply();
}

function clearChoice() {
  Object.assign(chosen, { cause: null, pod: null, kind: null, text: '' });
  $('find').value = '';
  apply();
}

const ofPod = (n, pod) => (rows.pod[n] >= 0 ? rows.pod[n] === pod : rows.near[n] >= 0 && DATA.failures.nearby[rows.near[n]].includes(pod));

function apply() {
  const count = rows.t.length, words = DATA.failures;
  shown = new Uint8Array(count);
  shownCount = 0;
  const wanted = chosen.text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  // Words are searched in the few texts that rows point to, not in a hundred thousand rows.
  const hit = (texts) => wanted.map((word) => texts.map((text) => text.toLowerCase().includes(word)));
  const kinds = hit(words.kinds.map((kind) => kind.name)), causes = hit(words.causes.map((cause) => cause.words));
  const pods = hit(words.pods), answers = hit(words.answers.map((answer) => answer.said)), log = hit(words.log), targets = hit(words.targets);
  for (let n = 0; n < count; n++) {
    if (chosen.kind !== null && rows.kind[n] !== chosen.kind) continue;
    if (chosen.cause !== null && rows.cause[n] !== chosen.cause) continue;
    if (chosen.pod !== null && !ofPod(n, chosen.pod)) continue;
    let all = true;
    for (let w = 0; w < wanted.length && all; w++) {
      all = kinds[w][rows.kind[n]] || causes[w][rows.cause[n]] || pods[w][rows.pod[n]] || answers[w][rows.answer[n]]
        || log[w][rows.logged[n]] || targets[w][rows.target[n]]
        || (rows.pod[n] < 0 && rows.near[n] >= 0 && words.nearby[rows.near[n]].some((pod) => pods[w][pod]));
    }
    if (all) { shown[n] = 1; shownCount++; }
  }
  for (const listener of onChoice) listener();
  redraw();
}

function showChoice() {
  for (const what of ['cause', 'pod', 'kind']) {
    for (const button of document.querySelectorAll(`button[data-${what}]`)) {
      button.setAttribute('aria-pressed', String(chosen[what] !== null && Number(button.dataset[what]) === chosen[what]));
    }
  }
  const parts = [];
  if (chosen.cause !== null) parts.push(['cause', DATA.failures.causes[chosen.cause].words]);
  if (chosen.pod !== null) parts.push(['pod', DATA.failures.pods[chosen.pod]]);
  if (chosen.kind !== null) parts.push(['kind', DATA.failures.kinds[chosen.kind].name]);
  const made = parts.map(([what, words]) => {
    const button = el('button', { type: 'button', title: 'Show all again' }, `${words} \u2715`);
    button.addEventListener('click', () => choose(what, chosen[what]));
    return button;
  });
  $('chosen').replaceChildren(...(made.length ? [el('span', {}, `Only these ${number(shownCount)} ${DATA.failures.nouns} are shown:`), ...made] : []));
}

function startSelection() {
  onChoice.push(showChoice);
  document.addEventListener('click', (event) => {
    const button = event.target.closest('button');
    if (!button) return;
    for (const what of ['cause', 'pod', 'kind']) {
      if (button.dataset[what] !== undefined) {
        choose(what, Number(button.dataset[what]));
        const near = button.closest('#notes, #names, #kinds');
        if (!near && chosen[what] !== null) $('picture').scrollIntoView();
        return;
      }
    }
    if (button.dataset.rollout !== undefined) {
      show(...DATA.rollouts[Number(button.dataset.rollout)].span);
      $('picture').scrollIntoView();
    }
  });
}
