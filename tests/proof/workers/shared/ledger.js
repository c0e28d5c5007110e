// The job that every worker of the proof does, and the ledger that it leaves its lines in.

'use strict';

const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');

const NAP = 50;

/** Works until a deadline, and leaves the event loop free as a job that waits for others does. */
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
  process.exit(70); // as a fatal error would: no promise is rejected
}

/** One line in one write, so that lines of several processes never mix. */
function record(event, job) {
  const line = `${process.hrtime.bigint()} ${event} ${job} ${process.env.HOSTNAME}\n`;
  const ledger = fs.openSync(process.env.LEDGER, 'a');
  fs.writeSync(ledger, line);
  fs.closeSync(ledger);
}

module.exports = { handle };
