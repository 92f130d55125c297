# frozen_string_literal: true

# Webhook receiver: verify, deduplicate, apply, then answer. Needs Ruby 3.0 or newer and WEBrick.
#
#   gem install webrick
#   WEBHOOK_SECRET=whsec_… ruby receiver.rb

require "json"
require "openssl"
require "webrick"

# Standard Webhooks 1.0.
class Verifier
  TOLERANCE_SECONDS = 300

  def initialize(secret)
    @key = secret.delete_prefix("whsec_").unpack1("m0")
  end

  # One valid v1 signature among those in the header is enough.
  def valid?(request, now: Time.now.to_i)
    id, timestamp, signatures = %w[id timestamp signature].map { |name| request["webhook-#{name}"] }
    return false unless id && signatures && timestamp&.match?(/\A\d{1,11}\z/)
    return false if (now - timestamp.to_i).abs > TOLERANCE_SECONDS

    digest = OpenSSL::HMAC.digest("SHA256", @key, "#{id}.#{timestamp}.".b + request.body.to_s.b)
    expected = "v1,#{[digest].pack("m0")}"
    signatures.split.any? { |offered| OpenSSL.secure_compare(offered, expected) } # In constant time.
  end
end

# Applies each webhook once.
#
# It is in memory. In production its collections are tables: the id (primary key) and the effect of a webhook
# belong into one transaction, which is committed before the answer. Only then does a restart lose nothing.
class Ledger
  def initialize
    @lock = Mutex.new
    @processed = {}
    @states = {}
  end

  # Your business logic. Does nothing if the id was processed before.
  def apply(id, webhook)
    @lock.synchronize do
      next if @processed.key?(id)

      @processed[id] = true
      case webhook["type"]
      when "log.emitted", "transfer.emitted"
        @states[id] = "applied"
        puts "applied #{id} #{position(webhook["data"])}"
      when "log.removed", "transfer.removed" # A reorg removed the log: undo the effect of the original.
        change(webhook["original"], "reversed")
      when "log.finalized", "transfer.finalized" # No reorg can remove the log any more.
        change(webhook["original"], "finalized")
      else
        puts "ignored #{id} #{webhook["type"]}"
      end
    end
  end

  private

  def change(original, state)
    @states[original] = state if @states.key?(original)
    puts "#{state} #{original}"
  end

  # The identity on the chain: block hash and log index, or t and transaction index of a transfer.
  def position(data)
    "#{data["block_hash"]}:#{data["log_index"] || "t#{data["transaction_index"]}"}"
  end
end

# Answers the webhooks of one endpoint.
class Receiver < WEBrick::HTTPServlet::AbstractServlet
  def initialize(server, verifier, ledger)
    super(server)
    @verifier = verifier
    @ledger = ledger
  end

  def do_POST(request, response)
    response.status = status(request)
  end

  private

  def status(request)
    return 401 unless @verifier.valid?(request)

    webhook = parse(request.body)
    return 400 unless webhook

    # A sample of `hookfarm endpoints test` has no effect.
    @ledger.apply(request["webhook-id"], webhook) unless request["webhook-test"]
    204
  end

  # Returns nil if the body is malformed.
  def parse(body)
    webhook = JSON.parse(body.to_s)
    webhook if webhook.is_a?(Hash) && webhook["type"].is_a?(String) && webhook["data"].is_a?(Hash)
  rescue JSON::ParserError
    nil
  end
end

$stdout.sync = true
host = ENV.fetch("HOST", "127.0.0.1")
log = WEBrick::Log.new($stderr, WEBrick::Log::WARN)
server = WEBrick::HTTPServer.new(BindAddress: host, Port: ENV.fetch("PORT", "9000"), Logger: log, AccessLog: [])
server.mount("/", Receiver, Verifier.new(ENV.fetch("WEBHOOK_SECRET")), Ledger.new)
%w[INT TERM].each { |signal| trap(signal) { server.shutdown } }
puts "listening on http://#{host}:#{server.listeners.first.addr[1]}"
server.start
