'use strict';

const { Worker } = require('bullmq');
const { handle } = require('/shared/ledger.js');
const { connect, name } = require('./shop.js');

const connection = connect({ maxRetriesPerRequest: null }); // BullMQ requires this for a worker's connection
const worker = new Worker(name, ({ data }) => handle(...data), { connection });
worker.on('error', console.error); // see https://docs.bullmq.io/guide/going-to-production#log-errors

// See https://docs.bullmq.io/guide/going-to-production#gracefully-shut-down-workers
const gracefulShutdown = async (signal) => {
  console.log(`Received ${signal}, closing server...`);
  await worker.close();
  process.exit(0);
};
process.on('SIGINT', gracefulShutdown);
process.on('SIGTERM', gracefulShutdown);
