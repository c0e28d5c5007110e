# Before the kill file, because processes that find the kill file look for this.
hold
