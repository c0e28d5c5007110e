# frozen_string_literal: true

# The job of every worker of the proof, and the ledger to which it writes.
module Ledger
  NAP = 0.05

  module_function

  # Works until a deadline: a signal can end a sleep early, but not the job.
  def handle(job, seconds, crash)
    record('start', job)
    deadline = monotonic + (seconds * 1_000_000_000).round
    while (left = (deadline - monotonic) / 1e9).positive?
      sleep [left, NAP].min
    end
    return record('end', job) unless crash

    record('crash', job)
    Process.exit!(70) # like a segfault: no exception, no exit handler
  end

  # Writes one line with one write, so that the lines of several processes never mix.
  def record(event, job)
    line = "#{monotonic} #{event} #{job} #{ENV.fetch('HOSTNAME')}\n"
    File.open(ENV.fetch('LEDGER'), File::WRONLY | File::APPEND | File::CREAT) { |ledger| ledger.syswrite(line) }
  end

  def monotonic
    Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
  end
end
