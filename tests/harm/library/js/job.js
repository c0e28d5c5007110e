// Handles one message.
'use strict';

const { message, witness } = require('./worker.js');

(async () => {
  witness('w');
  await message('w');
})();
