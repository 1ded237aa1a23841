package interop.jms;

import jakarta.jms.Connection;
import jakarta.jms.DeliveryMode;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import org.apache.activemq.command.ActiveMQMessage;

/** Section 6.2.7: transacted sessions; and where redelivery ends. */
final class Transacted {
  static void addTo(Table t) {
    t.in("6.2.7 Transactions");
    t.add("sends are seen after commit", "|1 2", p -> {
      Session session = p.transacted();
      Peer.send(session, p.queue(), "1", "2");
      String before = Peer.browse(p.auto(), p.queue(), null);
      session.commit();
      return before + "|" + Peer.browse(p.auto(), p.queue(), null);
    });
    t.add("sends are gone after rollback", "", p -> {
      Session session = p.transacted();
      Peer.send(session, p.queue(), "1", "2");
      session.rollback();
      return Peer.browse(p.auto(), p.queue(), null);
    });
    t.add("another begins at once", "2", p -> {
      Session session = p.transacted();
      Peer.send(session, p.queue(), "1");
      session.rollback();
      Peer.send(session, p.queue(), "2");
      session.commit();
      return p.left(p.queue());
    });
    t.add("receipts are settled by commit", "3", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.transacted();
      Peer.take(session.createConsumer(p.queue()), 2);
      session.commit();
      session.close();
      return p.left(p.queue());
    });
    t.add("receipts come again after rollback, in order", "1 2 1! 2! 3", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      String got = Peer.take(consumer, 2);
      session.rollback();
      return got + " " + Peer.take(consumer, 3);
    });
    t.add("receipts come again after rollback and close", "1! 2! 3", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.transacted();
      Peer.take(session.createConsumer(p.queue()), 2);
      session.rollback();
      session.close();
      return p.left(p.queue());
    });
    t.add("close of the session rolls back", "1!|", p -> {
      p.send(p.queue(), "1");
      Session session = p.transacted();
      Peer.take(session.createConsumer(p.queue()), 1);
      Peer.send(session, p.queue("b"), "2");
      session.close();
      return p.left(p.queue()) + "|" + p.left(p.queue("b"));
    });
    t.add("close of the connection rolls back", "1!|", p -> {
      p.send(p.queue(), "1");
      Connection other = p.connect("");
      Session session = Peer.session(other, Session.SESSION_TRANSACTED);
      Peer.take(session.createConsumer(p.queue()), 1);
      Peer.send(session, p.queue("b"), "2");
      other.close();
      return p.left(p.queue()) + "|" + p.left(p.queue("b"));
    });
    t.add("consume and send are one", "1! 2!|", p -> {
      p.send(p.queue(), "1", "2");
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      MessageProducer producer = session.createProducer(p.queue("b"));
      producer.send(Peer.receive(consumer));
      producer.send(Peer.receive(consumer));
      session.rollback();
      session.close();
      return p.left(p.queue()) + "|" + p.left(p.queue("b"));
    });
    t.add("over queues and topics", "1 2", p -> {
      MessageConsumer listener = p.consumer(p.topic());
      Session session = p.transacted();
      Peer.send(session, p.queue(), "1");
      Peer.send(session, p.topic(), "2");
      session.commit();
      return p.left(p.queue()) + " " + Peer.take(listener, 1);
    });
    t.add("a topic's messages are not seen before commit", "2 1", p -> {
      MessageConsumer listener = p.consumer(p.topic());
      Session session = p.transacted();
      Peer.send(session, p.topic(), "1");
      p.send(p.topic(), "2");
      String first = Peer.take(listener, 1);
      session.commit();
      return first + " " + Peer.take(listener, 1);
    });
    t.add("its own sends are not seen before commit", "2 1", p -> {
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      Peer.send(session, p.queue(), "1");
      p.send(p.queue(), "2");
      String first = Peer.take(consumer, 1);
      session.commit();
      return first + " " + Peer.take(consumer, 1);
    });
    t.add("two sessions of a connection do not meet", "1|", p -> {
      Session a = p.transacted();
      Session b = p.transacted();
      Peer.send(a, p.queue("a"), "1");
      Peer.send(b, p.queue("b"), "2");
      a.commit();
      b.rollback();
      return p.left(p.queue("a")) + "|" + p.left(p.queue("b"));
    });
    t.add("commit and rollback with nothing done", "-", p -> {
      Session session = p.transacted();
      return Peer.thrown(() -> session.commit(), () -> session.rollback(), () -> session.commit());
    });
    t.add("commit and rollback outside", "IllegalStateException", p -> Peer.thrown(() -> p.auto().commit(), () -> p.auto().rollback()));
    t.add("recover inside", "IllegalStateException", p -> {
      Session session = p.transacted();
      return Peer.thrown(() -> session.recover());
    });
    t.add("acknowledge inside does nothing", "1!", p -> {
      p.send(p.queue(), "1");
      Session session = p.transacted();
      Peer.receive(session.createConsumer(p.queue())).acknowledge();
      session.rollback();
      session.close();
      return p.left(p.queue());
    });
    t.add("consumer closed before commit", "", p -> {
      p.send(p.queue(), "1");
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      Peer.receive(consumer);
      consumer.close();
      session.commit();
      session.close();
      return p.left(p.queue());
    });
    t.add("consumer closed before rollback", "1!", p -> {
      p.send(p.queue(), "1");
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      Peer.receive(consumer);
      consumer.close();
      session.rollback();
      session.close();
      return p.left(p.queue());
    });
    t.add("producer closed before commit", "1", p -> {
      Session session = p.transacted();
      MessageProducer producer = session.createProducer(p.queue());
      producer.send(session.createTextMessage("1"));
      producer.close();
      session.commit();
      return p.left(p.queue());
    });
    t.add("non-persistent messages too", "|1", p -> {
      Session session = p.transacted();
      session.createProducer(p.queue()).send(session.createTextMessage("1"), DeliveryMode.NON_PERSISTENT, 4, 0);
      String before = Peer.browse(p.auto(), p.queue(), null);
      session.commit();
      return before + "|" + Peer.take(p.consumer(p.queue()), 1);
    });
    t.add("of 2,000 messages, in order", true, p -> {
      Session session = p.transacted();
      MessageProducer producer = session.createProducer(p.queue());
      StringBuilder want = new StringBuilder();
      for (int i = 0; i < 2000; i++) {
        producer.send(session.createTextMessage("" + i));
        want.append(i == 0 ? "" : " ").append(i);
      }
      session.commit();
      MessageConsumer consumer = session.createConsumer(p.queue());
      boolean same = Peer.take(consumer, 2000).equals(want.toString());
      session.commit();
      return same;
    }).classic("threw java.lang.AssertionError: no message within 10000 ms", "A transaction may take all that it wants; ActiveMQ hands out 200 and waits for a commit.");
    t.add("messages keep the order of the sends at commit", "3 1 2", p -> {
      Session session = p.transacted();
      Peer.send(session, p.queue(), "1", "2");
      p.send(p.queue(), "3");
      session.commit();
      return p.left(p.queue());
    });
    t.add("a listener that commits", "1 2 3", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.transacted();
      var got = new java.util.concurrent.LinkedBlockingQueue<String>();
      session.createConsumer(p.queue()).setMessageListener(m -> Peer.thrown(() -> {
        session.commit();
        got.add(Peer.show(m));
      }));
      return Peer.await(got) + " " + Peer.await(got) + " " + Peer.await(got);
    });
    t.add("getTransacted and getAcknowledgeMode", "true 0 false 1", p -> {
      Session session = p.transacted();
      return session.getTransacted() + " " + session.getAcknowledgeMode() + " " + p.auto().getTransacted() + " " + p.auto().getAcknowledgeMode();
    });
    t.add("a durable subscription's receipts come again", "1 1!", p -> {
      Connection c = p.client("c");
      Session session = Peer.session(c, Session.SESSION_TRANSACTED);
      MessageConsumer consumer = session.createDurableSubscriber(p.topic(), "s");
      p.send(p.topic(), "1");
      String got = Peer.take(consumer, 1);
      session.rollback();
      got += " " + Peer.take(consumer, 1);
      session.commit();
      return got;
    });
    t.add("a durable subscription's receipts stay after close", "1!", p -> {
      Connection c = p.client("c");
      Session session = Peer.session(c, Session.SESSION_TRANSACTED);
      MessageConsumer consumer = session.createDurableSubscriber(p.topic(), "s");
      p.send(p.topic(), "1");
      Peer.take(consumer, 1);
      session.close();
      return Peer.take(Peer.auto(c).createDurableSubscriber(p.topic(), "s"), 1);
    });
    t.add("temporary queue inside", "1", p -> {
      Session session = p.transacted();
      Queue temporary = session.createTemporaryQueue();
      Peer.send(session, temporary, "1");
      session.commit();
      return Peer.take(session.createConsumer(temporary), 1);
    });
    t.add("a send to a deleted temporary queue inside", "InvalidDestinationException -", p -> {
      Session session = p.transacted();
      var temporary = p.auto().createTemporaryQueue();
      MessageProducer producer = session.createProducer(temporary);
      temporary.delete();
      return Peer.thrown(() -> producer.send(session.createTextMessage("1"))) + " " + Peer.thrown(() -> session.commit());
    });

    t.in("ActiveMQ Dead letters");
    t.add("the seventh delivery is the last", "7 dead", p -> {
      p.send(p.queue(), "x");
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      int deliveries = 0;
      for (int i = 0; i < 7; i++) {
        Peer.receive(consumer);
        deliveries++;
        session.rollback();
      }
      return deliveries + " " + (p.rest(p.queue(), consumer).isEmpty() ? "dead" : "alive");
    });
    t.add("says where from, and why", "queue true true x", p -> {
      Message dead = dead(p, DeliveryMode.PERSISTENT);
      String cause = dead.getStringProperty("dlqDeliveryFailureCause");
      return (((ActiveMQMessage) dead).getOriginalDestination().equals(p.queue()) ? "queue" : "?") + " " + (cause != null && cause.contains("exceeds redelivery policy limit"))
          + " " + (dead.getJMSDeliveryMode() == DeliveryMode.PERSISTENT) + " " + ((jakarta.jms.TextMessage) dead).getText();
    });
    t.add("keeps its id, properties and correlation", true, p -> {
      Message dead = dead(p, DeliveryMode.PERSISTENT);
      return dead.getStringProperty("case").equals(p.name) && dead.getJMSCorrelationID().equals("c") && dead.getJMSMessageID().startsWith("ID:");
    });
    t.add("its own delivery counts from the start", "1", p -> dead(p, DeliveryMode.PERSISTENT).getStringProperty("JMSXDeliveryCount"));
    t.add("a non-persistent message is dropped", "", p -> {
      poison(p, DeliveryMode.NON_PERSISTENT);
      return Peer.browse(p.auto(), p.auto().createQueue("ActiveMQ.DLQ"), "case = '" + p.name + "'");
    });
    t.add("in CLIENT_ACKNOWLEDGE by recover", "x", p -> {
      send(p, DeliveryMode.PERSISTENT);
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(p.queue());
      for (int i = 0; i < 7; i++) {
        Peer.receive(consumer);
        session.recover();
      }
      return ((jakarta.jms.TextMessage) Peer.receive(letters(p))).getText();
    });
    t.add("of a durable subscription", "x", p -> {
      Session session = Peer.session(p.client("c"), Session.SESSION_TRANSACTED);
      MessageConsumer consumer = session.createDurableSubscriber(p.topic(), "s");
      Message m = p.text("x");
      m.setStringProperty("case", p.name);
      p.send(p.topic(), m);
      for (int i = 0; i < 7; i++) {
        Peer.receive(consumer);
        session.rollback();
      }
      return ((jakarta.jms.TextMessage) Peer.receive(letters(p))).getText();
    });
    t.add("an expired message becomes one when its consumer comes", "Message Expired", p -> {
      Message m = p.text("x");
      m.setStringProperty("case", p.name);
      p.auto().createProducer(p.queue()).send(m, DeliveryMode.PERSISTENT, 4, 1);
      for (long sent = System.currentTimeMillis(); System.currentTimeMillis() <= sent + 1; ) {
        Thread.onSpinWait();
      }
      p.rest(p.queue(), p.consumer(p.queue()));
      return Peer.receive(letters(p)).getStringProperty("dlqDeliveryFailureCause").replaceAll("java.lang.Throwable: |\\..*", "");
    });
  }

  private static void send(Peer p, int mode) throws Exception {
    Message m = p.text("x");
    m.setStringProperty("case", p.name);
    m.setJMSCorrelationID("c");
    p.auto().createProducer(p.queue()).send(m, mode, 4, 0);
  }

  private static void poison(Peer p, int mode) throws Exception {
    send(p, mode);
    Session session = p.transacted();
    MessageConsumer consumer = session.createConsumer(p.queue());
    for (int i = 0; i < 7; i++) {
      Peer.receive(consumer);
      session.rollback();
    }
    p.rest(p.queue(), consumer);
    session.commit();
  }

  private static Message dead(Peer p, int mode) throws Exception {
    poison(p, mode);
    return Peer.receive(letters(p));
  }

  private static MessageConsumer letters(Peer p) throws Exception {
    return p.auto().createConsumer(p.auto().createQueue("ActiveMQ.DLQ"), "case = '" + p.name + "'");
  }
}
