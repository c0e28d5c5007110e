# frozen_string_literal: true

require_relative 'shop'

orders = ARGV.map do |argument|
  job, seconds, crash = argument.split(':')
  [job, seconds.to_f, crash == 'crash']
end
HandleJob.perform_bulk(orders)
