package interop;

import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import jakarta.jms.Topic;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.activemq.ActiveMQConnectionFactory;

/** Who gets which message: groups, exclusive and retroactive consumers, changed durable subscriptions, consumers that do not keep up. */
final class Consumers {
  static void addTo(Suite suite) {
    suite.add("group-stays-in-order", Consumers::groupStays);
    suite.add("group-closes", Consumers::groupCloses);
    suite.add("group-goes-to-an-heir", Consumers::groupHeir);
    suite.add("exclusive", Consumers::exclusive);
    suite.add("durable-changes", Consumers::durableChanges);
  }

  /** What needs the policies that the test sets for topics recent.>, limited.> and queues slow.>. */
  static void addPoliciesTo(Suite suite) {
    suite.add("retroactive", Consumers::retroactive);
    suite.add("pending-limit", Consumers::pendingLimit);
    suite.add("slow-consumer-ends", Consumers::slowConsumer);
  }

  private static TextMessage grouped(Client from, String text, String group, int sequence) throws JMSException {
    TextMessage message = from.session.createTextMessage(text);
    message.setStringProperty("JMSXGroupID", group);
    if (sequence != 0) {
      message.setIntProperty("JMSXGroupSeq", sequence);
    }
    return message;
  }

  static void groupStays() throws Exception {
    try (Client first = Client.auto(); Client second = Client.auto(); Client sender = Client.auto()) {
      Queue queue = sender.session.createQueue(Env.name("groups"));
      List<MessageConsumer> consumers = List.of(first.session.createConsumer(queue), second.session.createConsumer(queue));
      for (int i = 0; i < 40; i++) {
        sender.send(queue, grouped(sender, Integer.toString(i), "g" + i % 4, 0));
      }
      Map<String, Integer> owner = new HashMap<>();
      Map<String, Integer> last = new HashMap<>();
      int got = 0;
      for (int c = 0; c < 2; c++) {
        for (Message m; (m = consumers.get(c).receive(got < 40 ? 1000 : Client.NOTHING)) != null; got++) {
          String group = m.getStringProperty("JMSXGroupID");
          Check.equal("owner of " + group, owner.getOrDefault(group, c), c);
          Check.equal("first of " + group, m.getBooleanProperty("JMSXGroupFirstForConsumer"), !owner.containsKey(group));
          int n = Integer.parseInt(Client.text(m));
          Check.that(group + ": " + n + " came after " + last.get(group), n > last.getOrDefault(group, -1));
          owner.put(group, c);
          last.put(group, n);
        }
      }
      Check.equal("messages", got, 40);
      Check.equal("consumers with groups", new java.util.HashSet<>(owner.values()).size(), 2);
    }
  }

  static void groupCloses() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("group-closes"));
      MessageConsumer consumer = client.session.createConsumer(queue);
      List<Boolean> first = new ArrayList<>();
      for (int sequence : new int[] {1, 2, -1, 1, 2}) {
        client.send(queue, grouped(client, "m", "g", sequence));
        first.add(Client.receive(consumer).getBooleanProperty("JMSXGroupFirstForConsumer"));
      }
      Check.equal("first of the group", first, List.of(true, false, false, true, false));
    }
  }

  static void groupHeir() throws Exception {
    try (Client owner = Client.mode(Session.CLIENT_ACKNOWLEDGE); Client heir = Client.auto()) {
      Queue queue = heir.session.createQueue(Env.name("group-heir"));
      MessageConsumer first = owner.session.createConsumer(queue);
      for (int i = 0; i < 10; i++) {
        heir.send(queue, grouped(heir, Integer.toString(i), "g", 0));
      }
      Check.equal("owner", Client.texts(first, 4), Client.numbers(0, 4));
      MessageConsumer second = heir.session.createConsumer(queue);
      Client.nothing(second);
      owner.close();
      Check.equal("heir", Client.texts(second, 10), Client.numbers(0, 10));
    }
  }

  static void exclusive() throws Exception {
    try (Client first = Client.auto(); Client second = Client.auto()) {
      String name = Env.name("exclusive");
      MessageConsumer one = first.session.createConsumer(first.session.createQueue(name + "?consumer.exclusive=true"));
      MessageConsumer two = second.session.createConsumer(second.session.createQueue(name + "?consumer.exclusive=true"));
      second.sendNumbers(second.session.createQueue(name), 0, 10);
      Check.equal("the first", Client.texts(one, 10), Client.numbers(0, 10));
      Client.nothing(two);
      one.close();
      second.sendNumbers(second.session.createQueue(name), 10, 20);
      Check.equal("its heir", Client.texts(two, 10), Client.numbers(10, 20));
    }
  }

  /** Another topic, selector or noLocal is a new subscription: what waited is gone. The same again is not. */
  static void durableChanges() throws Exception {
    ActiveMQConnectionFactory factory = Env.factory("");
    factory.setClientID(Env.name("durable-changes"));
    try (Client client = new Client(factory, Session.AUTO_ACKNOWLEDGE); Client sender = Client.auto()) {
      Topic topic = client.session.createTopic(Env.name("durable-changes"));
      Topic other = client.session.createTopic(Env.name("durable-changes.other"));
      record Step(String what, Topic topic, String selector, boolean noLocal, int waits) {}
      for (Step step : List.of(
          new Step("new", topic, null, false, 0),
          new Step("same", topic, null, false, 3),
          new Step("selector", topic, "JMSPriority > 1", false, 0),
          new Step("same selector", topic, "JMSPriority > 1", false, 3),
          new Step("no selector again", topic, null, false, 0),
          new Step("noLocal", topic, null, true, 0),
          new Step("same noLocal", topic, null, true, 3),
          new Step("another topic", other, null, true, 0))) {
        MessageConsumer consumer = client.session.createDurableSubscriber(step.topic, "sub", step.selector, step.noLocal);
        Check.equal(step.what, Client.texts(consumer, step.waits), Client.numbers(0, step.waits));
        Client.nothing(consumer);
        consumer.close();
        sender.sendNumbers(topic, 0, 3);
      }
      client.session.unsubscribe("sub");
    }
  }

  static void retroactive() throws Exception {
    try (Client client = Client.auto()) {
      String name = "recent." + Env.name("topic");
      client.sendNumbers(client.session.createTopic(name), 0, 10);
      MessageConsumer late = client.session.createConsumer(client.session.createTopic(name + "?consumer.retroactive=true"));
      MessageConsumer plain = client.session.createConsumer(client.session.createTopic(name));
      Check.equal("kept", Client.texts(late, 3), Client.numbers(7, 10));
      client.sendNumbers(client.session.createTopic(name), 10, 12);
      Check.equal("new", Client.texts(late, 2), Client.numbers(10, 12));
      Check.equal("plain", Client.texts(plain, 2), Client.numbers(10, 12));
    }
  }

  static void pendingLimit() throws Exception {
    try (Client slow = Client.auto(); Client quick = Client.auto()) {
      String name = "limited." + Env.name("topic");
      MessageConsumer late = slow.session.createConsumer(slow.session.createTopic(name + "?consumer.prefetchSize=2"));
      MessageConsumer all = quick.session.createConsumer(quick.session.createTopic(name));
      quick.sendNumbers(quick.session.createTopic(name), 0, 10);
      Check.equal("who keeps up", Client.texts(all, 10), Client.numbers(0, 10));
      Check.equal("who does not", Client.texts(late, 5), List.of("0", "1", "7", "8", "9"));
      Client.nothing(late);
    }
  }

  static void slowConsumer() throws Exception {
    try (Client slow = Client.mode(Session.CLIENT_ACKNOWLEDGE); Client quick = Client.auto()) {
      String name = "slow." + Env.name("queue");
      MessageConsumer stuck = slow.session.createConsumer(slow.session.createQueue(name + "?consumer.prefetchSize=5"));
      quick.sendNumbers(quick.session.createQueue(name), 0, 10);
      Client.receive(stuck);
      long end = System.nanoTime() + 10_000_000_000L;
      boolean closed = false;
      while (!closed && System.nanoTime() < end) {
        Thread.sleep(50);
        try {
          stuck.getMessageSelector(); // fails when the broker has closed the consumer
        } catch (jakarta.jms.IllegalStateException e) {
          closed = true;
        }
      }
      Check.that("the consumer is still open", closed);
      MessageConsumer heir = quick.session.createConsumer(quick.session.createQueue(name));
      Check.equal("heir", Client.texts(heir, 10), Client.numbers(0, 10));
    }
  }
}
