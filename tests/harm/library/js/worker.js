// The counterpart of worker.py for Node.js.
'use strict';

const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');

const FOLDER = '/journal';
const LATER = 5_000;

function note(line) {
  fs.appendFileSync(`${FOLDER}/journal`, `${line}\n`);
}

function witness(name) {
  for (const [suffix, source] of [['environ', 'self/environ'], ['status', 'self/status'], ['first', '1/cmdline']]) {
    fs.writeFileSync(`${FOLDER}/${name}.${suffix}`, fs.readFileSync(`/proc/${source}`));
  }
}

async function message(name) {
  const late = fs.existsSync(`${FOLDER}/deleted`);
  note(`begin ${name}`);
  const begin = performance.now();
  while (late ? performance.now() - begin < LATER : !fs.existsSync(`${FOLDER}/release`)) {
    await sleep(20);
  }
  note(`end ${name}`);
  fs.writeFileSync(`${FOLDER}/ended`, '');
  console.log(`${name} has handled a message`);
}

module.exports = { message, note, witness };
