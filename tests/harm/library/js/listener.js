#!/usr/bin/env node
// A worker that handles TERM.
'use strict';

const { message, note, witness } = require('./worker.js');

let stop = 0;
process.on('SIGTERM', () => note(stop++ ? 'heard TERM again' : 'heard TERM'));

(async () => {
  witness('w');
  while (!stop) await message('w');
  note('left w');
})();
