'use strict';

const { Worker } = require('bullmq');
const { handle } = require('/shared/ledger.js');
const { connect, name } = require('./shop.js');

const connection = connect({ maxRetriesPerRequest: null }); // which BullMQ demands of a worker's connection
const worker = new Worker(name, ({ data }) => handle(...data), { connection });
worker.on('error', console.error); // as https://docs.bullmq.io/guide/going-to-production#log-errors says

// As https://docs.bullmq.io/guide/going-to-production#gracefully-shut-down-workers says.
const gracefulShutdown = async (signal) => {
  console.log(`Received ${signal}, closing server...`);
  await worker.close();
  process.exit(0);
};
process.on('SIGINT', gracefulShutdown);
process.on('SIGTERM', gracefulShutdown);
