package interop.jms;

import jakarta.jms.Connection;
import jakarta.jms.DeliveryMode;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;

/** Sections 4.1.8, 4.2.11 and 7.7: what a broker knows that was stopped and started again. */
final class Restarts {
  static void addTo(Table t) {
    t.in("7.7 Delivery mode across a restart");
    t.add("PERSISTENT stays, in order", "1 2 3", p -> {
      p.send(p.queue(), "1", "2", "3");
      return null;
    }, (p, before) -> p.left(p.queue()));
    t.add("NON_PERSISTENT may be gone", "1 2", p -> {
      MessageProducer producer = p.auto().createProducer(p.queue());
      producer.send(p.text("1"), DeliveryMode.NON_PERSISTENT, 4, 0);
      producer.send(p.text("2"), DeliveryMode.PERSISTENT, 4, 0);
      return null;
    }, (p, before) -> p.left(p.queue())).classic("2", "The specification allows the loss and does not ask for it: a stop in good order takes along what waits in memory (`shutdown.carry`).");
    t.add("settled messages do not come back", "2", p -> {
      p.send(p.queue(), "1", "2");
      return Peer.take(p.consumer(p.queue()), 1);
    }, (p, before) -> p.left(p.queue()));
    t.add("headers and properties stay", true, p -> {
      Message m = p.text("x");
      m.setIntProperty("n", 7);
      m.setJMSType("order");
      m.setJMSCorrelationID("c");
      m.setJMSReplyTo(p.topic("r"));
      p.auto().createProducer(p.queue()).send(m, DeliveryMode.PERSISTENT, 6, 3_600_000);
      return m;
    }, (p, before) -> {
      Message was = (Message) before;
      Message m = p.receive(p.queue());
      return m.getJMSMessageID().equals(was.getJMSMessageID()) && m.getJMSTimestamp() == was.getJMSTimestamp() && m.getJMSExpiration() == was.getJMSExpiration() && m.getJMSPriority() == 6
          && m.getIntProperty("n") == 7 && m.getJMSType().equals("order") && m.getJMSCorrelationID().equals("c") && m.getJMSReplyTo().equals(p.topic("r")) && Peer.show(m).equals("x");
    });
    t.add("an uncommitted transaction is gone", "1", p -> {
      Session session = p.transacted();
      Peer.send(session, p.queue(), "1");
      session.commit();
      Peer.send(session, p.queue(), "2");
      return null;
    }, (p, before) -> p.left(p.queue()));
    t.add("receipts that were not committed come again", "1 2", p -> {
      p.send(p.queue(), "1", "2");
      return Peer.take(p.transacted().createConsumer(p.queue()), 1);
    }, (p, before) -> p.left(p.queue()).replace("!", ""));
    t.add("a durable subscription stays, with what it has", "1 2", p -> {
      Peer.auto(p.client("c")).createDurableSubscriber(p.topic(), "s").close();
      p.send(p.topic(), "1", "2");
      return null;
    }, (p, before) -> Peer.take(Peer.auto(p.client("c")).createDurableSubscriber(p.topic(), "s"), 2));
    t.add("a durable subscription takes what comes after it", "1", p -> {
      Peer.auto(p.client("c")).createDurableSubscriber(p.topic(), "s").close();
      return null;
    }, (p, before) -> {
      p.send(p.topic(), "1");
      return Peer.take(Peer.auto(p.client("c")).createDurableSubscriber(p.topic(), "s"), 1);
    });
    t.add("a durable subscription's selector stays", "9", p -> {
      Peer.auto(p.client("c")).createDurableSubscriber(p.topic(), "s", "JMSPriority = 9", false).close();
      return null;
    }, (p, before) -> {
      MessageProducer producer = p.auto().createProducer(p.topic());
      producer.send(p.text("4"), DeliveryMode.PERSISTENT, 4, 0);
      producer.send(p.text("9"), DeliveryMode.PERSISTENT, 9, 0);
      return Peer.take(Peer.auto(p.client("c")).createDurableSubscriber(p.topic(), "s", "JMSPriority = 9", false), 1);
    });
    t.add("a durable subscription that was ended stays ended", "InvalidDestinationException", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s").close();
      session.unsubscribe("s");
      return null;
    }, (p, before) -> {
      Session session = Peer.auto(p.client("c"));
      return Peer.thrown(() -> session.unsubscribe("s"));
    });
    t.add("a durable subscription goes on where it was left", "2", p -> {
      Session session = Peer.auto(p.client("c"));
      MessageConsumer consumer = session.createDurableSubscriber(p.topic(), "s");
      p.send(p.topic(), "1", "2");
      Peer.take(consumer, 1);
      return null;
    }, (p, before) -> Peer.take(Peer.auto(p.client("c")).createDurableSubscriber(p.topic(), "s"), 1).replace("!", ""));
    t.add("what had been received is marked as redelivered", "1! 2", p -> {
      p.send(p.queue(), "1", "2");
      Connection c = p.connect("");
      Peer.take(Peer.session(c, Session.CLIENT_ACKNOWLEDGE).createConsumer(p.queue()), 1);
      c.close();
      return null;
    }, (p, before) -> p.left(p.queue())).classic("1 2", "A redelivery is known after a restart; ActiveMQ's policy persistJMSRedelivered is off.");
    t.add("a temporary queue is gone", "InvalidDestinationException", p -> p.auto().createTemporaryQueue(), (p, before) -> Peer.thrown(() -> p.send((Queue) before, "x")))
        .classic("JMSException", "The specification names this exception; ActiveMQ's does not extend it.");
    t.add("what expires meanwhile is not received", "2", p -> {
      MessageProducer producer = p.auto().createProducer(p.queue());
      producer.send(p.text("1"), DeliveryMode.PERSISTENT, 4, 1);
      producer.send(p.text("2"), DeliveryMode.PERSISTENT, 4, 3_600_000);
      return null;
    }, (p, before) -> p.left(p.queue()));
    t.add("a dead letter stays", "x", p -> {
      Message m = p.text("x");
      m.setStringProperty("case", p.name);
      p.send(p.queue(), m);
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      for (int i = 0; i < 7; i++) {
        Peer.receive(consumer);
        session.rollback();
      }
      return Peer.browse(p.auto(), p.queue(), null);
    }, (p, before) -> before + Peer.take(p.auto().createConsumer(p.auto().createQueue("ActiveMQ.DLQ"), "case = '" + p.name + "'"), 1));
  }
}
