<?php

// A worker of nobody's that heeds TERM.

require __DIR__ . '/worker.php';

consume([]);
