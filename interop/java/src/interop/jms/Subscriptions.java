package interop.jms;

import jakarta.jms.Connection;
import jakarta.jms.DeliveryMode;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.Topic;
import jakarta.jms.TopicSubscriber;

/** Sections 4.2 and 8.3: topics and their subscriptions. */
final class Subscriptions {
  static void addTo(Table t) {
    t.in("8.3.1 Unshared non-durable subscriptions");
    t.add("nobody there, nothing kept", "2", p -> {
      p.send(p.topic(), "1");
      MessageConsumer consumer = p.consumer(p.topic());
      p.send(p.topic(), "2");
      return Peer.take(consumer, 1);
    });
    t.add("each gets each", "1 2|1 2", p -> {
      MessageConsumer a = p.consumer(p.topic());
      MessageConsumer b = p.session(Session.AUTO_ACKNOWLEDGE).createConsumer(p.topic());
      p.send(p.topic(), "1", "2");
      return Peer.take(a, 2) + "|" + Peer.take(b, 2);
    });
    t.add("what a closed consumer had not read is gone", "2", p -> {
      MessageConsumer first = p.consumer(p.topic());
      p.send(p.topic(), "1");
      first.close();
      MessageConsumer second = p.consumer(p.topic());
      p.send(p.topic(), "2");
      return Peer.take(second, 1);
    });
    t.add("noLocal", "theirs", p -> {
      MessageConsumer consumer = p.auto().createConsumer(p.topic(), null, true);
      p.send(p.topic(), "mine");
      Peer.send(Peer.auto(p.connect("")), p.topic(), "theirs");
      return Peer.take(consumer, 1);
    });
    t.add("noLocal over sessions of the connection", "theirs", p -> {
      MessageConsumer consumer = p.auto().createConsumer(p.topic(), null, true);
      Peer.send(p.session(Session.AUTO_ACKNOWLEDGE), p.topic(), "mine");
      Peer.send(Peer.auto(p.connect("")), p.topic(), "theirs");
      return Peer.take(consumer, 1);
    });
    t.add("noLocal and a selector", "theirs", p -> {
      MessageConsumer consumer = p.auto().createConsumer(p.topic(), "JMSPriority = 4", true);
      p.send(p.topic(), "mine");
      Peer.send(Peer.auto(p.connect("")), p.topic(), "theirs");
      return Peer.take(consumer, 1);
    });
    t.add("keeps order", true, p -> {
      MessageConsumer consumer = p.consumer(p.topic());
      StringBuilder want = new StringBuilder();
      Session session = p.transacted();
      MessageProducer producer = session.createProducer(p.topic());
      for (int i = 0; i < 500; i++) {
        producer.send(session.createTextMessage("" + i));
        want.append(i == 0 ? "" : " ").append(i);
      }
      session.commit();
      return Peer.take(consumer, 500).equals(want.toString());
    });
    t.add("non-persistent messages", "1", p -> {
      MessageConsumer consumer = p.consumer(p.topic());
      p.auto().createProducer(p.topic()).send(p.text("1"), DeliveryMode.NON_PERSISTENT, 4, 0);
      return Peer.take(consumer, 1);
    });
    t.add("a queue of the same name is another destination", "topic queue", p -> {
      Topic topic = p.topic("same");
      MessageConsumer consumer = p.consumer(topic);
      p.send(p.queue("same"), "queue");
      p.send(topic, "topic");
      return Peer.take(consumer, 1) + " " + Peer.take(p.consumer(p.queue("same")), 1);
    });

    t.in("8.3.3 Unshared durable subscriptions");
    t.add("keeps what comes while nobody is there", "1 2", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s").close();
      p.send(p.topic(), "1", "2");
      return Peer.take(session.createDurableSubscriber(p.topic(), "s"), 2);
    });
    t.add("over connections", "1 2", p -> {
      Connection first = p.client("c");
      Peer.auto(first).createDurableSubscriber(p.topic(), "s");
      first.close();
      p.send(p.topic(), "1", "2");
      return Peer.take(Peer.auto(p.client("c")).createDurableSubscriber(p.topic(), "s"), 2);
    });
    t.add("goes on where it was left", "1|2 3", p -> {
      Session session = Peer.auto(p.client("c"));
      MessageConsumer first = session.createDurableSubscriber(p.topic(), "s");
      p.send(p.topic(), "1", "2", "3");
      String got = Peer.take(first, 1);
      first.close();
      return got + "|" + Peer.take(session.createDurableSubscriber(p.topic(), "s"), 2);
    });
    t.add("a non-persistent message waits too", "1", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s").close();
      p.auto().createProducer(p.topic()).send(p.text("1"), DeliveryMode.NON_PERSISTENT, 4, 0);
      return Peer.take(session.createDurableSubscriber(p.topic(), "s"), 1);
    });
    t.add("with a selector", "2", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s", "JMSPriority > 5", false).close();
      MessageProducer producer = p.auto().createProducer(p.topic());
      producer.send(p.text("1"), DeliveryMode.PERSISTENT, 4, 0);
      producer.send(p.text("2"), DeliveryMode.PERSISTENT, 9, 0);
      return Peer.take(session.createDurableSubscriber(p.topic(), "s", "JMSPriority > 5", false), 1);
    });
    t.add("another selector makes a new one", "3", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s").close();
      p.send(p.topic(), "1", "2");
      MessageConsumer consumer = session.createDurableSubscriber(p.topic(), "s", "JMSPriority = 4", false);
      p.send(p.topic(), "3");
      return Peer.take(consumer, 1);
    });
    t.add("another topic makes a new one", "3", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic("a"), "s").close();
      p.send(p.topic("a"), "1", "2");
      MessageConsumer consumer = session.createDurableSubscriber(p.topic("b"), "s");
      p.send(p.topic("a"), "4");
      p.send(p.topic("b"), "3");
      return Peer.take(consumer, 1);
    });
    t.add("another noLocal makes a new one", "3", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s").close();
      p.send(p.topic(), "1", "2");
      MessageConsumer consumer = session.createDurableSubscriber(p.topic(), "s", null, true);
      p.send(p.topic(), "3");
      return Peer.take(consumer, 1);
    });
    t.add("noLocal while nobody is there", "theirs", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s", null, true).close();
      Peer.send(session, p.topic(), "mine");
      p.send(p.topic(), "theirs");
      return Peer.take(session.createDurableSubscriber(p.topic(), "s", null, true), 1);
    });
    t.add("a second consumer", "JMSException", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s");
      return Peer.thrown(() -> session.createDurableSubscriber(p.topic(), "s"));
    });
    t.add("without a client id", "IllegalStateException", p -> Peer.thrown(() -> p.auto().createDurableSubscriber(p.topic(), "s")))
        .fromClient5("JMSException");
    t.add("the same name of another client is another", "1|1", p -> {
      Session a = Peer.auto(p.client("a"));
      Session b = Peer.auto(p.client("b"));
      a.createDurableSubscriber(p.topic(), "s").close();
      b.createDurableSubscriber(p.topic(), "s").close();
      p.send(p.topic(), "1");
      return Peer.take(a.createDurableSubscriber(p.topic(), "s"), 1) + "|" + Peer.take(b.createDurableSubscriber(p.topic(), "s"), 1);
    });
    t.add("two of a client", "1|1", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "r").close();
      session.createDurableSubscriber(p.topic(), "s").close();
      p.send(p.topic(), "1");
      return Peer.take(session.createDurableSubscriber(p.topic(), "r"), 1) + "|" + Peer.take(session.createDurableSubscriber(p.topic(), "s"), 1);
    });
    t.add("names with odd characters", "1", p -> {
      Session session = Peer.auto(p.client("c"));
      String name = "a b.c/d:e-\u20ac_$";
      session.createDurableSubscriber(p.topic(), name).close();
      p.send(p.topic(), "1");
      return Peer.take(session.createDurableSubscriber(p.topic(), name), 1);
    });
    t.add("names of 128 characters", "1", p -> {
      Session session = Peer.auto(p.client("c"));
      String name = "n".repeat(128);
      session.createDurableSubscriber(p.topic(), name).close();
      p.send(p.topic(), "1");
      return Peer.take(session.createDurableSubscriber(p.topic(), name), 1);
    });
    t.add("an invalid selector", "InvalidSelectorException", p -> {
      Session session = Peer.auto(p.client("c"));
      return Peer.thrown(() -> session.createDurableSubscriber(p.topic(), "s", "n =", false));
    });
    t.add("no topic", "InvalidDestinationException", p -> {
      Session session = Peer.auto(p.client("c"));
      return Peer.thrown(() -> session.createDurableSubscriber(null, "s"));
    });
    t.add("on a wildcard", "1 2", p -> {
      Session session = Peer.auto(p.client("c"));
      Topic all = p.topic("w.*");
      session.createDurableSubscriber(all, "s").close();
      p.send(p.topic("w.a"), "1");
      p.send(p.topic("w.b"), "2");
      return Peer.take(session.createDurableSubscriber(all, "s"), 2);
    });
    t.add("un-acknowledged at close comes again", "1 1! 2", p -> {
      Connection c = p.client("c");
      Session session = Peer.session(c, Session.CLIENT_ACKNOWLEDGE);
      MessageConsumer first = session.createDurableSubscriber(p.topic(), "s");
      p.send(p.topic(), "1", "2");
      String got = Peer.take(first, 1);
      session.close();
      return got + " " + Peer.take(Peer.auto(c).createDurableSubscriber(p.topic(), "s"), 2);
    });
    t.add("beside a non-durable one", "1|1", p -> {
      Session session = Peer.auto(p.client("c"));
      MessageConsumer durable = session.createDurableSubscriber(p.topic(), "s");
      MessageConsumer plain = session.createConsumer(p.topic());
      p.send(p.topic(), "1");
      return Peer.take(durable, 1) + "|" + Peer.take(plain, 1);
    });

    t.in("4.2.9 Administering subscriptions");
    t.add("unsubscribe ends it", "2", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s").close();
      p.send(p.topic(), "1");
      session.unsubscribe("s");
      MessageConsumer consumer = session.createDurableSubscriber(p.topic(), "s");
      p.send(p.topic(), "2");
      return Peer.take(consumer, 1);
    });
    t.add("unsubscribe of an unknown one", "InvalidDestinationException", p -> {
      Session session = Peer.auto(p.client("c"));
      return Peer.thrown(() -> session.unsubscribe("never"));
    });
    t.add("unsubscribe while it is used", "JMSException", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s");
      return Peer.thrown(() -> session.unsubscribe("s"));
    });
    t.add("unsubscribe twice", "- InvalidDestinationException", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s").close();
      return Peer.thrown(() -> session.unsubscribe("s"), () -> session.unsubscribe("s"));
    });
    t.add("another client cannot unsubscribe it", "InvalidDestinationException", p -> {
      Peer.auto(p.client("a")).createDurableSubscriber(p.topic(), "s").close();
      Session other = Peer.auto(p.client("b"));
      return Peer.thrown(() -> other.unsubscribe("s"));
    });
  }
}
