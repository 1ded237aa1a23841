// main SUITE: full, short, refused or failover, against the broker that the environment names, by activemq-cpp (CMS).
// One line a scenario: "ok NAME" or "FAIL NAME reason", at the end "done".
#include <activemq/core/ActiveMQConnectionFactory.h>
#include <activemq/core/ActiveMQXAConnectionFactory.h>
#include <activemq/library/ActiveMQCPP.h>
#include <cms/BytesMessage.h>
#include <cms/Connection.h>
#include <cms/MapMessage.h>
#include <cms/MessageEnumeration.h>
#include <cms/MessageListener.h>
#include <cms/QueueBrowser.h>
#include <cms/Session.h>
#include <cms/StreamMessage.h>
#include <cms/TextMessage.h>
#include <cms/XAConnection.h>
#include <cms/XAResource.h>
#include <cms/XASession.h>
#include <cms/Xid.h>
#include <decaf/lang/System.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Session = cms::Session;
using Strings = std::vector<std::string>;

constexpr int soon = 10000;     // milliseconds within which a message must come
constexpr int limitSeconds = 60; // for one scenario

const std::string unicode = "gr\xc3\xbc\xc3\x9f" "e \xe2\x98\x83 \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

[[noreturn]] void fail(const std::string& reason) { throw std::runtime_error(reason); }

std::string show(const Strings& values) {
  std::string text;
  for (const auto& value : values) {
    text += (text.empty() ? "" : " ") + value;
  }
  return "[" + text.substr(0, 300) + "]";
}
template <typename T>
std::string show(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str().substr(0, 200);
}

template <typename T>
void equal(const std::string& what, const T& got, const T& want) {
  if (!(got == want)) {
    fail(what + ": got " + show(got) + ", want " + show(want));
  }
}

Strings numbers(int from, int to) {
  Strings texts;
  for (int i = from; i < to; i++) {
    texts.push_back(std::to_string(i));
  }
  return texts;
}

std::vector<unsigned char> pattern(int times) {
  std::vector<unsigned char> bytes(256 * times);
  for (size_t i = 0; i < bytes.size(); i++) {
    bytes[i] = static_cast<unsigned char>(i);
  }
  return bytes;
}

// address is where the broker is. The library looks for names in certificates, and not for the addresses that are there too.
std::string address(const std::string& options) {
  std::string url = environment("INTEROP_OPENWIRE");
  if (url.compare(0, 15, "ssl://127.0.0.1") == 0) {
    url.replace(0, 15, "ssl://localhost");
  }
  std::string all = environment("INTEROP_OPTIONS");
  if (!options.empty()) {
    all += (all.empty() ? "" : "&") + options;
  }
  return all.empty() ? url : url + "?" + all;
}

std::string name(const std::string& destination) { return environment("INTEROP_RUN") + "." + destination; }

// Client is a connection with one session.
struct Client {
  std::unique_ptr<cms::Connection> connection;
  std::unique_ptr<Session> session;

  explicit Client(Session::AcknowledgeMode mode = Session::AUTO_ACKNOWLEDGE, const std::string& options = "", const std::string& clientId = "")
      : Client(mode, address(options), clientId, environment("INTEROP_USER"), environment("INTEROP_PASSWORD")) {}

  Client(Session::AcknowledgeMode mode, const std::string& url, const std::string& clientId, const std::string& user, const std::string& password) {
    activemq::core::ActiveMQConnectionFactory factory(url);
    connection.reset(factory.createConnection(user, password));
    if (!clientId.empty()) {
      connection->setClientID(clientId);
    }
    connection->start();
    session.reset(connection->createSession(mode));
  }

  ~Client() {
    try {
      connection->close();
    } catch (const cms::CMSException&) { // the scenario has said what is wrong
    }
  }

  std::unique_ptr<cms::Queue> queue(const std::string& destination) { return std::unique_ptr<cms::Queue>(session->createQueue(destination)); }
  std::unique_ptr<cms::Topic> topic(const std::string& destination) { return std::unique_ptr<cms::Topic>(session->createTopic(destination)); }
  std::unique_ptr<cms::MessageConsumer> consumer(const cms::Destination& from, const std::string& selector = "") {
    return std::unique_ptr<cms::MessageConsumer>(session->createConsumer(&from, selector));
  }
  std::unique_ptr<cms::TextMessage> text(const std::string& text) { return std::unique_ptr<cms::TextMessage>(session->createTextMessage(text)); }

  void send(const cms::Destination& to, cms::Message& message) {
    std::unique_ptr<cms::MessageProducer> producer(session->createProducer(&to));
    producer->send(&message);
  }
  void send(const cms::Destination& to, const Strings& texts) {
    std::unique_ptr<cms::MessageProducer> producer(session->createProducer(&to));
    for (const auto& each : texts) {
      auto message = text(each);
      message->setIntProperty("n", std::atoi(each.c_str()));
      producer->send(message.get());
    }
  }
};

template <typename T = cms::TextMessage>
std::unique_ptr<T> receive(cms::MessageConsumer& consumer) {
  std::unique_ptr<cms::Message> message(consumer.receive(soon));
  if (!message) {
    fail("no message in time");
  }
  T* typed = dynamic_cast<T*>(message.get());
  if (!typed) {
    fail(std::string("a message of another type: ") + typeid(*message).name());
  }
  message.release();
  return std::unique_ptr<T>(typed);
}

Strings texts(cms::MessageConsumer& consumer, int count) {
  Strings got;
  for (int i = 0; i < count; i++) {
    got.push_back(receive(consumer)->getText());
  }
  return got;
}

// left takes what a queue holds, up to a message that is sent now. Redelivered ones are marked with "!".
Strings left(const std::string& destination) {
  Client client;
  auto queue = client.queue(destination);
  client.send(*queue, Strings{"end"});
  auto consumer = client.consumer(*queue);
  Strings got;
  for (;;) {
    auto message = receive(*consumer);
    if (message->getText() == "end") {
      return got;
    }
    got.push_back(message->getText() + (message->getCMSRedelivered() ? "!" : ""));
  }
}

// unseen is how left shows a message that a consumer had got and its application had not. OpenWire before version 5 cannot tell, so that it counts as seen.
std::string unseen(const std::string& text) {
  const std::string key = "wireFormat.version=";
  std::string options = environment("INTEROP_OPTIONS");
  bool untold = options.compare(0, key.size(), key) == 0 && std::atoi(options.c_str() + key.size()) < 5;
  return text + (untold ? "!" : "");
}

// --- bodies ---------------------------------------------------------------------------------------------------------

void text() {
  Client client;
  auto queue = client.queue(name("cpp.text"));
  auto consumer = client.consumer(*queue);
  for (const auto& body : Strings{"hello", "", unicode, std::string(100000, 'x')}) {
    client.send(*queue, *client.text(body));
    equal("text", receive(*consumer)->getText(), body);
  }
}

void bytes() {
  Client client;
  auto queue = client.queue(name("cpp.bytes"));
  auto consumer = client.consumer(*queue);
  std::unique_ptr<cms::BytesMessage> message(client.session->createBytesMessage());
  message->writeBoolean(true);
  message->writeByte(0xfe);
  message->writeShort(-2);
  message->writeInt(-3);
  message->writeLong(-4000000000000LL);
  message->writeFloat(1.5f);
  message->writeDouble(-2.25);
  message->writeUTF(unicode);
  message->writeBytes(pattern(1));
  client.send(*queue, *message);
  auto got = receive<cms::BytesMessage>(*consumer);
  equal("boolean", got->readBoolean(), true);
  equal("byte", static_cast<int>(got->readByte()), 0xfe);
  equal("short", got->readShort(), static_cast<short>(-2));
  equal("int", got->readInt(), -3);
  equal("long", got->readLong(), -4000000000000LL);
  equal("float", got->readFloat(), 1.5f);
  equal("double", got->readDouble(), -2.25);
  equal("UTF", got->readUTF(), unicode);
  std::vector<unsigned char> rest(256);
  equal("length of the rest", got->readBytes(rest), 256);
  equal("the rest is the same", rest == pattern(1), true);
}

void map() {
  Client client;
  auto queue = client.queue(name("cpp.map"));
  auto consumer = client.consumer(*queue);
  std::unique_ptr<cms::MapMessage> message(client.session->createMapMessage());
  message->setBoolean("boolean", true);
  message->setByte("byte", 200);
  message->setChar("char", 'c');
  message->setShort("short", -2);
  message->setInt("int", -3);
  message->setLong("long", -4000000000000LL);
  message->setFloat("float", 1.5f);
  message->setDouble("double", -2.25);
  message->setString("string", unicode);
  message->setBytes("bytes", pattern(1));
  client.send(*queue, *message);
  auto got = receive<cms::MapMessage>(*consumer);
  equal("entries", got->getMapNames().size(), static_cast<size_t>(10));
  equal("boolean", got->getBoolean("boolean"), true);
  equal("byte", static_cast<int>(got->getByte("byte")), 200);
  equal("char", got->getChar("char"), 'c');
  equal("short", got->getShort("short"), static_cast<short>(-2));
  equal("int", got->getInt("int"), -3);
  equal("long", got->getLong("long"), -4000000000000LL);
  equal("float", got->getFloat("float"), 1.5f);
  equal("double", got->getDouble("double"), -2.25);
  equal("string", got->getString("string"), unicode);
  equal("bytes are the same", got->getBytes("bytes") == pattern(1), true);
}

void stream() {
  Client client;
  auto queue = client.queue(name("cpp.stream"));
  auto consumer = client.consumer(*queue);
  std::unique_ptr<cms::StreamMessage> message(client.session->createStreamMessage());
  message->writeInt(7);
  message->writeString(unicode);
  message->writeDouble(0.5);
  message->writeBytes(pattern(1));
  client.send(*queue, *message);
  auto got = receive<cms::StreamMessage>(*consumer);
  equal("int", got->readInt(), 7);
  equal("string", got->readString(), unicode);
  equal("double", got->readDouble(), 0.5);
  std::vector<unsigned char> rest(256);
  equal("length of the bytes", got->readBytes(rest), 256);
}

void properties() {
  Client client;
  auto queue = client.queue(name("cpp.properties"));
  auto consumer = client.consumer(*queue);
  auto message = client.text("body");
  message->setBooleanProperty("boolean", true);
  message->setByteProperty("byte", 100);
  message->setShortProperty("short", -2);
  message->setIntProperty("int", -3);
  message->setLongProperty("long", -4000000000000LL);
  message->setFloatProperty("float", 1.5f);
  message->setDoubleProperty("double", -2.25);
  message->setStringProperty("string", unicode);
  message->setCMSCorrelationID("c1");
  message->setCMSType("t");
  message->setCMSReplyTo(queue.get());
  std::unique_ptr<cms::MessageProducer> producer(client.session->createProducer(queue.get()));
  producer->send(message.get(), cms::DeliveryMode::NON_PERSISTENT, 7, 60000);
  auto got = receive(*consumer);
  equal("names", got->getPropertyNames().size(), static_cast<size_t>(8));
  equal("boolean", got->getBooleanProperty("boolean"), true);
  equal("byte", static_cast<int>(got->getByteProperty("byte")), 100);
  equal("short", got->getShortProperty("short"), static_cast<short>(-2));
  equal("int", got->getIntProperty("int"), -3);
  equal("long", got->getLongProperty("long"), -4000000000000LL);
  equal("float", got->getFloatProperty("float"), 1.5f);
  equal("double", got->getDoubleProperty("double"), -2.25);
  equal("string", got->getStringProperty("string"), unicode);
  equal("correlation", got->getCMSCorrelationID(), std::string("c1"));
  equal("type", got->getCMSType(), std::string("t"));
  equal("priority", got->getCMSPriority(), 7);
  equal("mode", got->getCMSDeliveryMode(), static_cast<int>(cms::DeliveryMode::NON_PERSISTENT));
  equal("expires", got->getCMSExpiration() - got->getCMSTimestamp(), 60000LL);
  equal("reply to", dynamic_cast<const cms::Queue&>(*got->getCMSReplyTo()).getQueueName(), name("cpp.properties"));
  equal("id", got->getCMSMessageID(), message->getCMSMessageID());
}

void large() {
  Client client;
  auto queue = client.queue(name("cpp.large"));
  auto body = pattern(5 << 12);
  std::unique_ptr<cms::BytesMessage> message(client.session->createBytesMessage(body.data(), static_cast<int>(body.size())));
  client.send(*queue, *message);
  auto consumer = client.consumer(*queue);
  auto got = receive<cms::BytesMessage>(*consumer);
  equal("length", got->getBodyLength(), static_cast<int>(body.size()));
  std::unique_ptr<unsigned char[]> back(got->getBodyBytes());
  equal("the body is the same", std::memcmp(back.get(), body.data(), body.size()), 0);
}

// --- sessions -------------------------------------------------------------------------------------------------------

void transactions() {
  Client client(Session::SESSION_TRANSACTED);
  std::string in = name("cpp.transactions.in"), out = name("cpp.transactions.out");
  auto from = client.queue(in), to = client.queue(out);
  client.send(*from, numbers(0, 4));
  client.session->rollback();
  client.send(*from, numbers(4, 8));
  client.session->commit();
  auto consumer = client.consumer(*from);
  equal("first try", texts(*consumer, 2), numbers(4, 6));
  client.send(*to, Strings{"rolled back"});
  client.session->rollback();
  auto again = receive(*consumer);
  equal("again", again->getText(), std::string("4"));
  equal("again is marked", again->getCMSRedelivered(), true);
  equal("second try", texts(*consumer, 1), numbers(5, 6));
  client.send(*to, Strings{"committed"});
  client.session->commit();
  consumer->close();
  equal("in", left(in), Strings{unseen("6"), unseen("7")});
  equal("out", left(out), Strings{"committed"});
}

void clientAcknowledge() {
  std::string destination = name("cpp.client");
  {
    Client client(Session::CLIENT_ACKNOWLEDGE);
    auto queue = client.queue(destination);
    client.send(*queue, numbers(0, 5));
    auto consumer = client.consumer(*queue);
    texts(*consumer, 2);
    receive(*consumer)->acknowledge(); // and all before it
    texts(*consumer, 1);
  }
  equal("left", left(destination), Strings{"3!", unseen("4")});
}

void individualAcknowledge() {
  std::string destination = name("cpp.individual");
  {
    Client client(Session::INDIVIDUAL_ACKNOWLEDGE);
    auto queue = client.queue(destination);
    client.send(*queue, numbers(0, 3));
    auto consumer = client.consumer(*queue);
    auto first = receive(*consumer), second = receive(*consumer);
    second->acknowledge();
  }
  Strings all = left(destination);
  for (auto& each : all) { // ActiveMQ does not mark the first: it looks for what was seen last, which is settled
    each.erase(std::remove(each.begin(), each.end(), '!'), each.end());
  }
  equal("left", all, Strings{"0", "2"});
}

void recovers() {
  Client client(Session::CLIENT_ACKNOWLEDGE);
  auto queue = client.queue(name("cpp.recover"));
  client.send(*queue, numbers(0, 3));
  auto consumer = client.consumer(*queue);
  equal("first", texts(*consumer, 3), numbers(0, 3));
  client.session->recover();
  equal("again", texts(*consumer, 2), numbers(0, 2));
  auto last = receive(*consumer);
  equal("marked", last->getCMSRedelivered(), true);
  last->acknowledge();
  consumer->close();
  equal("left", left(name("cpp.recover")), Strings{});
}

void deadLetter() {
  Client client(Session::SESSION_TRANSACTED, "cms.redeliveryPolicy.maximumRedeliveries=2&cms.redeliveryPolicy.initialRedeliveryDelay=10&cms.redeliveryPolicy.redeliveryDelay=10");
  std::string destination = name("cpp.poison");
  auto queue = client.queue(destination);
  auto poison = client.text("poison");
  poison->setStringProperty("run", destination);
  client.send(*queue, *poison);
  client.session->commit();
  auto consumer = client.consumer(*queue);
  for (int i = 0; i < 3; i++) {
    auto message = receive(*consumer);
    equal("redelivered", message->getCMSRedelivered(), i > 0);
    equal("count", message->getIntProperty("JMSXDeliveryCount"), i); // the library counts redeliveries here
    client.session->rollback();
  }
  Client other;
  auto dead = other.queue("ActiveMQ.DLQ");
  auto letters = other.consumer(*dead, "run = '" + destination + "'");
  equal("dead letter", texts(*letters, 1), Strings{"poison"});
  consumer->close();
  equal("left", left(destination), Strings{});
}

class Counter : public cms::MessageListener {
 public:
  void onMessage(const cms::Message* message) override {
    std::lock_guard<std::mutex> lock(mutex);
    got.push_back(dynamic_cast<const cms::TextMessage&>(*message).getText());
    changed.notify_all();
  }
  Strings wait(size_t count) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait_for(lock, std::chrono::milliseconds(soon), [&] { return got.size() >= count; });
    return got;
  }

 private:
  std::mutex mutex;
  std::condition_variable changed;
  Strings got;
};

void listener() {
  Client sender, client;
  auto queue = client.queue(name("cpp.listener"));
  Counter counter;
  auto consumer = client.consumer(*queue);
  consumer->setMessageListener(&counter);
  sender.send(*queue, numbers(0, 2000));
  equal("heard", counter.wait(2000), numbers(0, 2000));
  consumer->setMessageListener(nullptr);
}

void pull() {
  Client client(Session::AUTO_ACKNOWLEDGE, "cms.prefetchPolicy.queuePrefetch=0");
  auto queue = client.queue(name("cpp.pull"));
  auto consumer = client.consumer(*queue);
  std::unique_ptr<cms::Message> none(consumer->receiveNoWait());
  equal("nothing there", none == nullptr, true);
  none.reset(consumer->receive(50));
  equal("nothing in time", none == nullptr, true);
  client.send(*queue, numbers(0, 3));
  equal("pulled", texts(*consumer, 2), numbers(0, 2));
  std::unique_ptr<cms::Message> last(consumer->receiveNoWait());
  equal("the last was there", last != nullptr, true);
}

// --- destinations ---------------------------------------------------------------------------------------------------

void requestReply() {
  Client asker, server;
  auto requests = server.queue(name("cpp.requests"));
  auto inbox = server.consumer(*requests);
  std::unique_ptr<cms::TemporaryQueue> replies(asker.session->createTemporaryQueue());
  auto answers = asker.consumer(*replies);
  auto request = asker.text("ask");
  request->setCMSReplyTo(replies.get());
  asker.send(*requests, *request);
  auto asked = receive(*inbox);
  auto reply = server.text("answer to " + asked->getText());
  reply->setCMSCorrelationID(asked->getCMSMessageID());
  server.send(*asked->getCMSReplyTo(), *reply);
  auto answer = receive(*answers);
  equal("answer", answer->getText(), std::string("answer to ask"));
  equal("correlation", answer->getCMSCorrelationID(), request->getCMSMessageID());
  answers->close();
  replies->destroy();
}

void topics() {
  Client publisher, one, two;
  auto topic = publisher.topic(name("cpp.topic"));
  publisher.send(*topic, Strings{"nobody is there"});
  auto first = one.consumer(*topic), second = two.consumer(*topic, "n > 2");
  publisher.send(*topic, numbers(0, 5));
  equal("all", texts(*first, 5), numbers(0, 5));
  equal("selected", texts(*second, 2), numbers(3, 5));
  std::unique_ptr<cms::MessageConsumer> others(one.session->createConsumer(topic.get(), "", true));
  one.send(*topic, Strings{"own"});
  publisher.send(*topic, Strings{"foreign"});
  equal("noLocal", texts(*others, 1), Strings{"foreign"});
}

void durable() {
  std::string topicName = name("cpp.durable"), id = name("cpp.durable.client");
  auto subscribed = [&](const std::string& selector, const std::function<void(Client&, cms::MessageConsumer&)>& use) {
    Client client(Session::AUTO_ACKNOWLEDGE, "", id);
    auto topic = client.topic(topicName);
    std::unique_ptr<cms::MessageConsumer> consumer(client.session->createDurableConsumer(topic.get(), "sub", selector));
    use(client, *consumer);
    consumer->close();
  };
  Client publisher;
  auto topic = publisher.topic(topicName);
  subscribed("", [](Client&, cms::MessageConsumer&) {});
  publisher.send(*topic, numbers(0, 3));
  subscribed("", [](Client&, cms::MessageConsumer& consumer) { equal("backlog", texts(consumer, 3), numbers(0, 3)); });
  publisher.send(*topic, numbers(3, 6));
  subscribed("n > 7", [&](Client& client, cms::MessageConsumer& consumer) {
    publisher.send(*topic, numbers(6, 9));
    equal("another selector", texts(consumer, 1), numbers(8, 9));
    try {
      client.session->unsubscribe("sub");
    } catch (const cms::CMSException&) { // it is in use
      return;
    }
    fail("a subscription in use was removed");
  });
  {
    Client client(Session::AUTO_ACKNOWLEDGE, "", id);
    client.session->unsubscribe("sub");
  }
  publisher.send(*topic, Strings{"nobody is there"});
  subscribed("", [&](Client&, cms::MessageConsumer& consumer) {
    publisher.send(*topic, Strings{"anew"});
    equal("after its end", texts(consumer, 1), Strings{"anew"});
  });
  Client client(Session::AUTO_ACKNOWLEDGE, "", id);
  client.session->unsubscribe("sub");
}

void selectors() {
  Client client;
  auto queue = client.queue(name("cpp.selectors"));
  client.send(*queue, numbers(0, 5));
  auto consumer = client.consumer(*queue, "n BETWEEN 2 AND 3");
  equal("selected", texts(*consumer, 2), numbers(2, 4));
  consumer->close();
  try {
    client.consumer(*queue, "n ==== ");
  } catch (const cms::CMSException&) {
    equal("left", left(name("cpp.selectors")), Strings{"0", "1", "4"});
    return;
  }
  fail("a bad selector was taken");
}

void browse() {
  Client client;
  auto queue = client.queue(name("cpp.browse"));
  client.send(*queue, numbers(0, 5));
  for (const auto& each : std::map<std::string, Strings>{{"", numbers(0, 5)}, {"n > 2", numbers(3, 5)}}) {
    std::unique_ptr<cms::QueueBrowser> browser(client.session->createBrowser(queue.get(), each.first));
    cms::MessageEnumeration* messages = browser->getEnumeration();
    Strings seen;
    while (messages->hasMoreMessages()) {
      std::unique_ptr<cms::Message> message(messages->nextMessage());
      if (message) {
        seen.push_back(dynamic_cast<cms::TextMessage&>(*message).getText());
      }
    }
    equal("seen", seen, each.second);
    browser->close();
  }
  equal("left", left(name("cpp.browse")), numbers(0, 5));
}

void composite() {
  Client client;
  auto both = client.queue(name("cpp.both.a") + "," + name("cpp.both.b"));
  client.send(*both, Strings{"twice"});
  equal("a", left(name("cpp.both.a")), Strings{"twice"});
  equal("b", left(name("cpp.both.b")), Strings{"twice"});
}

void expires() {
  Client client;
  auto queue = client.queue(name("cpp.expires"));
  std::unique_ptr<cms::MessageProducer> producer(client.session->createProducer(queue.get()));
  producer->send(client.text("short").get(), cms::DeliveryMode::PERSISTENT, 4, 50);
  producer->send(client.text("long").get(), cms::DeliveryMode::PERSISTENT, 4, 60000);
  std::this_thread::sleep_for(std::chrono::milliseconds(200)); // the time to live is what is tested
  equal("left", left(name("cpp.expires")), Strings{"long"});
}

void groups() {
  Client client, other;
  auto queue = client.queue(name("cpp.groups"));
  auto one = client.consumer(*queue), two = other.consumer(*queue);
  std::unique_ptr<cms::MessageProducer> producer(client.session->createProducer(queue.get()));
  for (int i = 0; i < 40; i++) {
    auto message = client.text(std::to_string(i));
    message->setStringProperty("JMSXGroupID", i % 2 ? "odd" : "even");
    producer->send(message.get());
  }
  for (auto* consumer : {one.get(), two.get()}) {
    Strings got = texts(*consumer, 20);
    int first = std::atoi(got[0].c_str());
    for (int i = 0; i < 20; i++) {
      equal("of one group, in order", got[i], std::to_string(first + 2 * i));
    }
  }
}

// --- distributed transactions ----------------------------------------------------------------------------------------

class Branch : public cms::Xid {
 public:
  explicit Branch(std::string global) : global(std::move(global)) {}
  Xid* clone() const override { return new Branch(global); }
  bool equals(const Xid* other) const override {
    unsigned char theirs[MAXGTRIDSIZE];
    int length = other->getGlobalTransactionId(theirs, sizeof theirs);
    return std::string(reinterpret_cast<char*>(theirs), std::max(length, 0)) == global;
  }
  int getFormatId() const override { return 0x676f; }
  int getGlobalTransactionId(unsigned char* buffer, int size) const override { return copy(global, buffer, size); }
  int getBranchQualifier(unsigned char* buffer, int size) const override { return copy("b", buffer, size); }

 private:
  static int copy(const std::string& from, unsigned char* buffer, int size) {
    if (static_cast<int>(from.size()) > size) {
      return -1;
    }
    std::memcpy(buffer, from.data(), from.size());
    return static_cast<int>(from.size());
  }
  std::string global;
};

void xa() {
  std::string destination = name("cpp.xa");
  activemq::core::ActiveMQXAConnectionFactory factory(address(""));
  std::unique_ptr<cms::XAConnection> connection(factory.createXAConnection(environment("INTEROP_USER"), environment("INTEROP_PASSWORD")));
  connection->start();
  std::unique_ptr<cms::XASession> session(connection->createXASession());
  cms::XAResource* resource = session->getXAResource();
  std::unique_ptr<cms::Queue> queue(session->createQueue(destination));
  std::unique_ptr<cms::MessageProducer> producer(session->createProducer(queue.get()));
  auto send = [&](const Branch& branch, const std::string& text) {
    resource->start(&branch, cms::XAResource::TMNOFLAGS);
    std::unique_ptr<cms::TextMessage> message(session->createTextMessage(text));
    producer->send(message.get());
    resource->end(&branch, cms::XAResource::TMSUCCESS);
  };
  Branch one(destination + "1"), two(destination + "2"), three(destination + "3");
  send(one, "one phase");
  resource->commit(&one, true);
  send(two, "rolled back");
  equal("vote", resource->prepare(&two), static_cast<int>(cms::XAResource::XA_OK));
  resource->rollback(&two);
  send(three, "two phases");
  equal("vote", resource->prepare(&three), static_cast<int>(cms::XAResource::XA_OK));
  equal("nothing before the decision", left(destination), Strings{"one phase"});
  resource->commit(&three, false);
  connection->close();
  equal("left", left(destination), Strings{"two phases"});
}

// --- failures -------------------------------------------------------------------------------------------------------

void wrongCredentials() {
  std::string user = environment("INTEROP_USER"), password = environment("INTEROP_PASSWORD");
  const std::vector<std::pair<std::string, std::string>> wrong = {{user, "wrong"}, {"nobody", password}, {"", ""}};
  for (const auto& each : wrong) {
    bool in = true;
    try {
      Client client(Session::AUTO_ACKNOWLEDGE, address(""), "", each.first, each.second);
    } catch (const cms::CMSException&) {
      in = false;
    }
    equal("let in with " + each.first + ":" + each.second, in, false);
  }
  text(); // the right ones still get in
}

void clientIdIsExclusive() {
  Client first(Session::AUTO_ACKNOWLEDGE, "", name("cpp.one-only"));
  try {
    Client second(Session::AUTO_ACKNOWLEDGE, "", name("cpp.one-only"));
  } catch (const cms::CMSException&) {
    first.send(*first.queue(name("cpp.one-only")), Strings{"undisturbed"});
    return;
  }
  fail("a second client with the id was let in");
}

// failover has the broker killed while a producer, a transacted producer and two consumers are at work over failover:, until it is told to stop.
void failover() {
  std::string url = "failover:(" + environment("INTEROP_OPENWIRE") + ")?initialReconnectDelay=20&maxReconnectDelay=100";
  auto connect = [&](Session::AcknowledgeMode mode) { return Client(mode, url, "", environment("INTEROP_USER"), environment("INTEROP_PASSWORD")); };
  std::atomic<bool> stop{false}, over{false};
  std::mutex mutex;
  std::map<std::string, int> got;        // by text: how often
  Strings unmarked;                      // given twice without the mark
  std::vector<std::string> failures;
  auto guarded = [&](const std::function<void()>& work) {
    return std::thread([&, work] {
      try {
        work();
      } catch (const std::exception& e) {
        std::lock_guard<std::mutex> lock(mutex);
        failures.push_back(e.what());
      }
    });
  };
  std::string plain = name("cpp.failover"), inTransactions = name("cpp.failover.tx");
  int sent = 0, committed = 0, doubtful = 0;
  std::vector<std::thread> consumers, producers;
  for (const auto& destination : {plain, inTransactions}) {
    consumers.push_back(guarded([&, destination] {
      Client client = connect(Session::AUTO_ACKNOWLEDGE);
      auto queue = client.queue(destination);
      auto consumer = client.consumer(*queue);
      while (true) {
        std::unique_ptr<cms::Message> message(consumer->receive(500));
        if (!message) {
          if (over) {
            return;
          }
          continue;
        }
        std::string body = dynamic_cast<cms::TextMessage&>(*message).getText();
        std::lock_guard<std::mutex> lock(mutex);
        if (got[body]++ > 0 && !message->getCMSRedelivered()) {
          unmarked.push_back(body);
        }
      }
    }));
  }
  producers.push_back(guarded([&] {
    Client client = connect(Session::AUTO_ACKNOWLEDGE);
    auto queue = client.queue(plain);
    while (!stop) {
      client.send(*queue, *client.text("p" + std::to_string(sent)));
      sent++;
    }
  }));
  std::vector<bool> decided; // by transaction of ten: committed
  producers.push_back(guarded([&] {
    Client client = connect(Session::SESSION_TRANSACTED);
    auto queue = client.queue(inTransactions);
    for (int n = 0; !stop; n++) {
      try {
        for (int i = 0; i < 10; i++) {
          client.send(*queue, *client.text("t" + std::to_string(n) + "." + std::to_string(i)));
        }
        client.session->commit();
        decided.push_back(true);
        committed++;
      } catch (const cms::CMSException&) { // rolled back, or in doubt
        decided.push_back(false);
        doubtful++;
        try {
          client.session->rollback();
        } catch (const cms::CMSException&) {
        }
      }
    }
  }));
  std::cout << "note loaded" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  stop = true;
  for (auto& each : producers) {
    each.join();
  }
  auto complete = [&] {
    std::lock_guard<std::mutex> lock(mutex);
    for (int i = 0; i < sent; i++) {
      if (!got.count("p" + std::to_string(i))) {
        return false;
      }
    }
    for (size_t n = 0; n < decided.size(); n++) {
      for (int i = 0; decided[n] && i < 10; i++) {
        if (!got.count("t" + std::to_string(n) + "." + std::to_string(i))) {
          return false;
        }
      }
    }
    return true;
  };
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!complete() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  over = true;
  for (auto& each : consumers) {
    each.join();
  }
  std::cout << "note sent " << sent << ", committed " << committed << " transactions of ten, " << doubtful << " rolled back or in doubt, received " << got.size() << std::endl;
  equal("failures", failures, Strings{});
  equal("twice without the mark", unmarked, Strings{});
  equal("all that was confirmed has come", complete(), true);
  for (size_t n = 0; n < decided.size(); n++) {
    int parts = 0;
    for (int i = 0; i < 10; i++) {
      parts += static_cast<int>(got.count("t" + std::to_string(n) + "." + std::to_string(i)));
    }
    equal("parts of a transaction are all or none", parts == 0 || parts == 10, true);
  }
  equal("sent something", sent > 0 && committed > 0, true);
}

// --- suites ---------------------------------------------------------------------------------------------------------

using Scenarios = std::vector<std::pair<std::string, void (*)()>>;

Scenarios suite(const std::string& which) {
  Scenarios scenarios = {
      {"text", text},
      {"bytes", bytes},
      {"map", map},
      {"stream", stream},
      {"properties", properties},
      {"transactions", transactions},
      {"client-acknowledge", clientAcknowledge},
      {"request-reply", requestReply},
      {"large", large},
  };
  const Scenarios more = {
      {"individual-acknowledge", individualAcknowledge},
      {"recover", recovers},
      {"dead-letter", deadLetter},
      {"listener", listener},
      {"pull", pull},
      {"topics", topics},
      {"durable", durable},
      {"selectors", selectors},
      {"browse", browse},
      {"composite", composite},
      {"expires", expires},
      {"groups", groups},
      {"xa", xa},
      {"client-id-is-exclusive", clientIdIsExclusive},
  };
  if (which == "full") {
    scenarios.insert(scenarios.end(), more.begin(), more.end());
  } else if (which == "refused") {
    scenarios = {{"wrong-credentials", wrongCredentials}};
  } else if (which == "failover") {
    scenarios = {{"failover", failover}};
  } else if (which != "short") {
    fail("no suite " + which);
  }
  return scenarios;
}

// attempt gives the reason of a failure, or "". A scenario that hangs ends the program.
std::string attempt(void (*scenario)()) {
  try {
    scenario();
    return "";
  } catch (cms::CMSException& e) {
    e.printStackTrace(std::cerr);
    return "CMSException: " + e.getMessage();
  } catch (const std::exception& e) {
    return e.what();
  }
}

}  // namespace

int main(int, char** argv) {
  activemq::library::ActiveMQCPP::initializeLibrary();
  if (!environment("INTEROP_CA").empty()) {
    decaf::lang::System::setProperty("decaf.net.ssl.trustStore", environment("INTEROP_CA"));
  }
  std::string only = environment("INTEROP_ONLY");
  for (const auto& scenario : suite(argv[1])) {
    if (!only.empty() && only != scenario.first) {
      continue;
    }
    std::atomic<bool> ended{false};
    std::thread watch([&] {
      for (int i = 0; i < limitSeconds * 100 && !ended; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      if (!ended) {
        std::cout << "FAIL " << scenario.first << " not done after " << limitSeconds << " s" << std::endl;
        std::_Exit(1);
      }
    });
    auto began = std::chrono::steady_clock::now();
    std::string reason = attempt(scenario.second);
    ended = true;
    watch.join();
    std::replace(reason.begin(), reason.end(), '\n', ' ');
    auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
    std::cout << (reason.empty() ? "ok " + scenario.first + " " + std::to_string(millis) + "ms" : "FAIL " + scenario.first + " " + reason) << std::endl;
  }
  std::cout << "done" << std::endl;
  activemq::library::ActiveMQCPP::shutdownLibrary();
}
