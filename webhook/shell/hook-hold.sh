# Before the kill file, as whoever finds that looks for this.
hold
