// A worker that listens to nothing.
'use strict';

const { message, witness } = require('./worker.js');

(async () => {
  witness('w');
  for (;;) await message('w');
})();
