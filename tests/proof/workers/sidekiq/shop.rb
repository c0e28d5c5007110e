# frozen_string_literal: true

require 'sidekiq'
require '/shared/ledger'

# Sidekiq finds Redis by itself: REDIS_URL.
class HandleJob
  include Sidekiq::Job

  def perform(job, seconds, crash)
    Ledger.handle(job, seconds, crash)
  end
end
