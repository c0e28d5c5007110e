"""How past drains of workloads ended, and advice on their grace periods."""
