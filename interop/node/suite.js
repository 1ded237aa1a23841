'use strict';
// Scenarios in order; one line each: "ok NAME" or "FAIL NAME reason", at the end "done".

const assert = require('node:assert');

const LIMIT_MILLIS = 30000;

async function run(scenarios) {
  const only = process.env.INTEROP_ONLY; // to look into one scenario by hand
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (only && only !== name) {
      continue;
    }
    const start = Date.now();
    try {
      await within(LIMIT_MILLIS, scenario(), 'the scenario');
      console.log(`ok ${name} ${Date.now() - start}ms`);
    } catch (failure) {
      console.error(failure);
      console.log(`FAIL ${name} ${failure}`.replaceAll('\n', ' '));
    }
  }
  console.log('done');
  process.exit(0); // sockets of a scenario that hung must not keep the process
}

function within(millis, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not done after ${millis} ms`)), millis);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function equal(what, got, want) {
  assert.deepStrictEqual(got, want, `${what}: got ${short(got)}, want ${short(want)}`);
}

function that(what, holds) {
  assert.ok(holds, what);
}

function short(value) {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 200 ? `${text.slice(0, 200)}... (${text.length} characters)` : text;
}

module.exports = { run, within, equal, that };
