'use strict';

const { Queue } = require('bullmq');
const { connect, name } = require('./shop.js');

const orders = process.argv.slice(2).map((argument) => {
  const [job, seconds, crash] = argument.split(':');
  return { name: 'handle', data: [job, Number(seconds), crash === 'crash'] };
});

(async () => {
  const connection = connect();
  const queue = new Queue(name, { connection });
  await queue.addBulk(orders);
  await queue.close();
  connection.disconnect();
})();
