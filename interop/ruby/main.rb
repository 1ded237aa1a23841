# main.rb SUITE: full, short or refused, against the broker that the environment names, by the gem "stomp": STOMP 1.2 unless a scenario is about another version.
# One line a scenario: "ok NAME" or "FAIL NAME reason", at the end "done".
# frozen_string_literal: true

require "stomp"
require "timeout"

SOON = 10
LIMIT_SECONDS = 30
RUN = ENV.fetch("INTEROP_RUN")
UNICODE = "gr\u00fc\u00dfe \u2603 \u{1f0a1} \u65e5\u672c\u8a9e"
PATTERN = (0..255).to_a.pack("C*")

$stdout.sync = true

# --- connections -----------------------------------------------------------------------------------------------------

def parameters(headers, credentials)
  host, port = ENV.fetch("INTEROP_STOMP").split(":")
  login, passcode = credentials || [ENV["INTEROP_USER"], ENV["INTEROP_PASSWORD"]]
  tls = ENV["INTEROP_TLS"] ? Stomp::SSLParams.new(ts_files: ENV.fetch("INTEROP_CA"), use_ruby_ciphers: true) : false
  {
    hosts: [{ login: login || "", passcode: passcode || "", host: host, port: port.to_i, ssl: tls }],
    connect_headers: { "accept-version" => "1.2", "host" => host }.merge(headers),
    reliable: false,
    parse_timeout: SOON
  }
end

# A connection of the library whose receipts and messages are told apart.
class Session
  attr_reader :connection

  def initialize(headers = {}, credentials = nil)
    @connection = Stomp::Connection.new(parameters(headers, credentials))
    @messages = []
    @receipts = 0
    connected = @connection.connection_frame
    raise "not connected: #{connected}" unless connected.command == "CONNECTED"
  end

  # Asks for something with a receipt, and waits for it; the block gets the header.
  def confirm
    id = "r#{@receipts += 1}"
    yield({ receipt: id })
    while (frame = read)
      return if frame.command == "RECEIPT" && frame.headers["receipt-id"] == id
      raise "got #{frame}" unless frame.command == "MESSAGE"

      @messages << frame
    end
  end

  # A persistent text; a persistent sequence of bytes.
  def send(to, text, headers = {})
    confirm { |receipt| connection.publish(to, text, { persistent: true, suppress_content_length: true }.merge(headers, receipt)) }
  end

  def send_bytes(to, bytes, headers = {})
    confirm { |receipt| connection.publish(to, bytes, { persistent: true }.merge(headers, receipt)) }
  end

  def subscribe(to, headers = {}, id = "s")
    confirm { |receipt| connection.subscribe(to, headers.merge(receipt), id) }
  end

  def unsubscribe(to, headers = {}, id = "s")
    confirm { |receipt| connection.unsubscribe(to, headers.merge(receipt), id) }
  end

  def receive
    return @messages.shift unless @messages.empty?

    frame = read
    raise "got #{frame}, want a MESSAGE" unless frame.command == "MESSAGE"

    frame
  end

  def refusal
    frame = read
    raise "got #{frame}, want an ERROR" unless frame.command == "ERROR"

    frame
  end

  def texts(count)
    Array.new(count) { receive.body }
  end

  def close
    connection.disconnect({ receipt: "bye" })
    equal("last receipt", connection.disconnect_receipt.headers["receipt-id"], "bye")
  end

  private

  def read
    Timeout.timeout(SOON) { connection.receive } or raise "the broker has closed the connection"
  end
end

def session(headers = {})
  it = Session.new(headers)
  yield it
  it.close
end

def destination(name, kind = "queue")
  "/#{kind}/#{RUN}.#{name}"
end

def equal(what, got, want)
  return if got == want

  short = ->(value) { value.inspect.then { |text| text.length > 200 ? "#{text[0, 200]}... (#{text.length} characters)" : text } }
  raise "#{what}: got #{short[got]}, want #{short[want]}"
end

# What a queue holds is taken, up to a message that is sent now.
def left(name)
  found = []
  session do |it|
    it.subscribe(destination(name))
    it.send(destination(name), "end")
    while (body = it.receive.body) != "end"
      found << body
    end
  end
  found
end

# --- scenarios -------------------------------------------------------------------------------------------------------

def text
  to = destination("rb.text")
  session do |it|
    it.subscribe(to)
    ["hello", "", UNICODE, "x" * 100_000].each do |body|
      it.send(to, body)
      equal("body", it.receive.body.force_encoding("UTF-8"), body)
    end
  end
end

def bytes
  to = destination("rb.bytes")
  session do |it|
    it.subscribe(to)
    ["\0", PATTERN].each do |body|
      it.send_bytes(to, body)
      frame = it.receive
      equal("body", frame.body.b, body.b)
      equal("content-length", frame.headers["content-length"], body.bytesize.to_s)
    end
  end
end

# (The library decodes an escaped backslash before a "c" or an "n" as another escape.)
def properties
  to = destination("rb.properties")
  sent = { "plain" => "value", "number" => "42", "odd" => "a:b\\ c\nd", "color" => "bl\u00fc", "correlation-id" => "c1", "type" => "t", "priority" => "7" }
  session do |it|
    it.subscribe(to)
    it.send(to, "body", sent)
    got = it.receive.headers
    sent.each { |name, value| equal(name, got[name], value) }
  end
end

def transactions
  to = destination("rb.transactions")
  session do |it|
    it.subscribe(to, { ack: "client-individual" })
    it.connection.begin("a")
    it.send(to, "aborted", transaction: "a")
    it.confirm { |receipt| it.connection.abort("a", receipt) }
    it.connection.begin("c")
    it.send(to, "committed", transaction: "c")
    it.confirm { |receipt| it.connection.commit("c", receipt) }
    first = it.receive
    equal("committed", first.body, "committed")
    it.connection.begin("ack")
    it.connection.ack(first.headers["ack"], transaction: "ack")
    it.confirm { |receipt| it.connection.commit("ack", receipt) }
  end
  equal("left", left("rb.transactions"), [])
end

def client_acknowledge
  name = "rb.client"
  session do |it|
    5.times { |n| it.send(destination(name), n.to_s) }
    it.subscribe(destination(name), { ack: "client" })
    frames = Array.new(5) { it.receive }
    it.connection.ack(frames[2].headers["ack"]) # this one and all before it
  end
  equal("left", left(name), %w[3 4])
end

def request_reply
  to = destination("rb.requests")
  session do |server|
    server.subscribe(to)
    session do |asker|
      asker.subscribe("/temp-queue/replies")
      asker.send(to, "ask", "reply-to" => "/temp-queue/replies")
      request = server.receive
      server.send(request.headers["reply-to"], "answer to #{request.body}")
      equal("answer", asker.texts(1), ["answer to ask"])
    end
  end
end

def large
  to = destination("rb.large")
  body = PATTERN * (5 << 12)
  session do |it|
    it.send_bytes(to, body)
    it.subscribe(to)
    raise "body differs" unless it.receive.body.b == body.b
  end
end

# Each version acknowledges in its own way; the library does what the agreed one wants.
def versions
  %w[1.0 1.1 1.2].each do |version|
    name = "rb.version-#{version}"
    session("accept-version" => version) do |it|
      equal("version", it.connection.protocol, version)
      it.subscribe(destination(name), { ack: "client" })
      it.send(destination(name), "0")
      it.send(destination(name), "1")
      it.receive
      last = it.receive
      it.connection.ack(last.headers[version == "1.2" ? "ack" : "message-id"], version == "1.1" ? { subscription: "s" } : {})
    end
    equal("left of #{version}", left(name), [])
  end
end

def nack_dead_letters
  to = destination("rb.nack")
  session do |it|
    it.send(to, "poison", run: to)
    it.subscribe(to, { ack: "client-individual" })
    it.connection.nack(it.receive.headers["ack"])
    it.subscribe("/queue/ActiveMQ.DLQ", { selector: "run = '#{to}'" }, "dead")
    equal("dead letter", it.texts(1), ["poison"])
  end
end

def selectors
  to = destination("rb.selectors")
  session do |it|
    5.times { |n| it.send(to, n.to_s, n: n) }
    it.subscribe(to, { selector: "n BETWEEN 2 AND 3" })
    equal("selected", it.texts(2), %w[2 3])
    it.connection.subscribe(to, { selector: "n ==== " }, "bad")
    it.refusal
  end
  equal("left", left("rb.selectors"), %w[0 1 4])
end

def durable
  to = destination("rb.durable", "topic")
  subscriber = { "client-id" => "#{RUN}.rb.durable" }
  subscription = { "activemq.subscriptionName" => "sub" }
  session(subscriber) { |it| it.subscribe(to, subscription) }
  session { |it| 3.times { |n| it.send(to, n.to_s, n: n) } }
  session(subscriber) do |it|
    it.subscribe(to, subscription)
    equal("backlog", it.texts(3), %w[0 1 2])
  end
  session { |it| it.send(to, "3", n: 3) }
  session(subscriber) do |it|
    it.subscribe(to, subscription.merge(selector: "n > 4")) # another selector: another subscription
    4.upto(5) { |n| it.send(to, n.to_s, n: n) }
    equal("selected", it.texts(1), ["5"])
    it.unsubscribe(to)
    it.unsubscribe(to, subscription)
  end
  session { |it| it.send(to, "after the end") }
  session(subscriber) do |it|
    it.subscribe(to, subscription)
    it.send(to, "anew")
    equal("after the end", it.texts(1), ["anew"])
    it.unsubscribe(to)
    it.unsubscribe(to, subscription)
  end
end

# The library's other class: listeners are blocks that a thread of its own calls.
def listeners
  client = Stomp::Client.new(parameters({}, nil))
  got = Thread::Queue.new
  client.subscribe(destination("rb.listeners"), { ack: "client-individual" }) do |message|
    client.ack(message) { |_receipt| got << message.body }
  end
  receipts = Thread::Queue.new
  10.times { |n| client.publish(destination("rb.listeners"), n.to_s, persistent: true) { |receipt| receipts << receipt } }
  Timeout.timeout(SOON) { 10.times { receipts.pop } }
  equal("acknowledged", Timeout.timeout(SOON) { Array.new(10) { got.pop } }, (0..9).map(&:to_s))
  client.close
  equal("left", left("rb.listeners"), [])
end

def heart_beats
  session("heart-beat" => "100,100") do |it|
    Timeout.timeout(SOON) { sleep 0.02 until it.connection.hbrecv_count >= 3 && it.connection.hbsend_count >= 3 }
    it.subscribe(destination("rb.heart-beats"))
    it.send(destination("rb.heart-beats"), "alive")
    equal("after heart-beats", it.texts(1), ["alive"])
  end
end

def two_thousand
  to = destination("rb.many")
  session do |it|
    it.subscribe(to)
    session do |sender|
      1999.times { |n| sender.connection.publish(to, n.to_s) }
      sender.send(to, "1999")
    end
    equal("texts", it.texts(2000), (0..1999).map(&:to_s))
  end
end

def wrong_credentials
  [[ENV["INTEROP_USER"], "wrong"], ["nobody", ENV["INTEROP_PASSWORD"]], ["", ""]].each do |credentials|
    begin
      Session.new({}, credentials)
    rescue RuntimeError, Stomp::Error::StompServerError => e
      equal("refused with", e.message[/User name|not authenticated|invalid/i].nil?, false)
      next
    end
    raise "let in: #{credentials}"
  end
  text # the right ones still get in
end

# --- suites ----------------------------------------------------------------------------------------------------------

SHORT = %i[text bytes properties transactions client_acknowledge request_reply large].freeze
SUITES = {
  "short" => SHORT,
  "full" => SHORT + %i[versions nack_dead_letters selectors durable listeners heart_beats two_thousand],
  "refused" => %i[wrong_credentials]
}.freeze

SUITES.fetch(ARGV[0]).each do |scenario|
  name = scenario.to_s.tr("_", "-")
  next unless [nil, name].include?(ENV["INTEROP_ONLY"])

  start = Process.clock_gettime(Process::CLOCK_MONOTONIC, :millisecond)
  begin
    Timeout.timeout(LIMIT_SECONDS) { method(scenario).call }
    puts "ok #{name} #{Process.clock_gettime(Process::CLOCK_MONOTONIC, :millisecond) - start}ms"
  rescue StandardError => e
    warn e.full_message
    puts "FAIL #{name} #{e.class}: #{e.message}".tr("\n", " ")
  end
end
puts "done"
