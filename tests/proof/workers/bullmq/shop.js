'use strict';

const IORedis = require('ioredis');

module.exports = {
  name: 'shop',
  connect: (options) => new IORedis(process.env.REDIS_URL, options),
};
