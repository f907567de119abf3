"""API objects and their store: kinds, defaults, validation, selectors, errors, Events and the status of Pods."""
