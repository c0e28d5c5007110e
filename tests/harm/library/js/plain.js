// A worker that handles no signal.
'use strict';

const { message, witness } = require('./worker.js');

(async () => {
  witness('w');
  for (;;) await message('w');
})();
