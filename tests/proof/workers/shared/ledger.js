// The job of every worker of the proof, and the ledger to which it writes.

'use strict';

const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');

const NAP = 50;

/** Works until a deadline without blocking the event loop, like a job that waits for I/O. */
async function handle(job, seconds, crash) {
  record('start', job);
  const deadline = performance.now() + seconds * 1000;
  for (let left; (left = deadline - performance.now()) > 0; ) {
    await sleep(Math.min(left, NAP));
  }
  if (!crash) {
    record('end', job);
    return;
  }
  record('crash', job);
  process.exit(70); // like a fatal error: no promise is rejected
}

/** Writes one line with one write, so that the lines of several processes never mix. */
function record(event, job) {
  const line = `${process.hrtime.bigint()} ${event} ${job} ${process.env.HOSTNAME}\n`;
  const ledger = fs.openSync(process.env.LEDGER, 'a');
  fs.writeSync(ledger, line);
  fs.closeSync(ledger);
}

module.exports = { handle };
