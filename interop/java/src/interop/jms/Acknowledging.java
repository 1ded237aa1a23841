package interop.jms;

import jakarta.jms.Connection;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import org.apache.activemq.ActiveMQSession;

/** Sections 3.6 and 6.2.10: acknowledgement, recover, and what comes again. */
final class Acknowledging {
  static void addTo(Table t) {
    t.in("6.2.10 AUTO_ACKNOWLEDGE");
    t.add("what was received is settled", "", p -> {
      p.send(p.queue(), "1", "2");
      Peer.take(p.consumer(p.queue()), 2);
      return settled(p);
    });
    t.add("what was not received stays, without a flag", "2 3", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.session(Session.AUTO_ACKNOWLEDGE);
      Peer.take(session.createConsumer(p.queue()), 1);
      session.close();
      return p.left(p.queue());
    });
    t.add("acknowledge does nothing", "", p -> {
      p.send(p.queue(), "1");
      Peer.receive(p.consumer(p.queue())).acknowledge();
      return settled(p);
    });
    t.add("recover brings nothing back", "2", p -> {
      p.send(p.queue(), "1", "2");
      MessageConsumer consumer = p.consumer(p.queue());
      Peer.receive(consumer);
      p.auto().recover();
      return Peer.take(consumer, 1).replace("!", "");
    });

    t.in("6.2.10 CLIENT_ACKNOWLEDGE");
    t.add("acknowledges all that the session has received", "3", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(p.queue());
      Peer.receive(consumer);
      Peer.receive(consumer).acknowledge();
      session.close();
      return p.left(p.queue());
    });
    t.add("by an earlier message too", "", p -> {
      p.send(p.queue(), "1", "2");
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(p.queue());
      Message first = Peer.receive(consumer);
      Peer.receive(consumer);
      first.acknowledge();
      session.close();
      return p.left(p.queue());
    });
    t.add("over the session's consumers", "|", p -> {
      p.send(p.queue("a"), "1");
      p.send(p.queue("b"), "2");
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      Peer.receive(session.createConsumer(p.queue("a")));
      Peer.receive(session.createConsumer(p.queue("b"))).acknowledge();
      session.close();
      return p.left(p.queue("a")) + "|" + p.left(p.queue("b"));
    });
    t.add("what was not acknowledged comes again at close", "1! 2! 3", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      Peer.take(session.createConsumer(p.queue()), 2);
      session.close();
      return p.left(p.queue());
    });
    t.add("what was not acknowledged comes again at the connection's close", "1! 2! 3", p -> {
      p.send(p.queue(), "1", "2", "3");
      Connection other = p.connect("");
      Peer.take(Peer.session(other, Session.CLIENT_ACKNOWLEDGE).createConsumer(p.queue()), 2);
      other.close();
      return p.left(p.queue());
    });
    t.add("twice is no error", "-", p -> {
      p.send(p.queue(), "1");
      Message m = Peer.receive(p.session(Session.CLIENT_ACKNOWLEDGE).createConsumer(p.queue()));
      m.acknowledge();
      return Peer.thrown(() -> m.acknowledge());
    });
    t.add("recover restarts in order", "1 2 1! 2! 3", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(p.queue());
      String before = Peer.take(consumer, 2);
      session.recover();
      return before + " " + Peer.take(consumer, 3);
    });
    t.add("recover after an acknowledge leaves what was settled", "1 2 2! 3", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(p.queue());
      Message first = Peer.receive(consumer);
      first.acknowledge();
      String got = Peer.show(first) + " " + Peer.take(consumer, 1);
      session.recover();
      return got + " " + Peer.take(consumer, 2);
    });
    t.add("recover counts", "1 2 3", p -> {
      p.send(p.queue(), "x");
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(p.queue());
      StringBuilder counts = new StringBuilder();
      for (int i = 0; i < 3; i++) {
        counts.append(i == 0 ? "" : " ").append(Peer.receive(consumer).getIntProperty("JMSXDeliveryCount"));
        session.recover();
      }
      return counts;
    });
    t.add("recover, then another consumer", "1!", p -> {
      p.send(p.queue(), "1");
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      Peer.receive(session.createConsumer(p.queue()));
      session.recover();
      session.close();
      return p.left(p.queue());
    });
    t.add("after the session's close", "IllegalStateException", p -> {
      p.send(p.queue(), "1");
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      Message m = Peer.receive(session.createConsumer(p.queue()));
      session.close();
      return Peer.thrown(() -> m.acknowledge());
    });
    t.add("of a topic's message", "1 2", p -> {
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(p.topic());
      p.send(p.topic(), "1");
      Message m = Peer.receive(consumer);
      m.acknowledge();
      return Peer.show(m) + " " + p.rest(p.topic("t"), consumer) + resend(p, consumer);
    });
    t.add("recover of a topic's messages", "1 1!", p -> {
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(p.topic());
      p.send(p.topic(), "1");
      String got = Peer.take(consumer, 1);
      session.recover();
      return got + " " + Peer.take(consumer, 1);
    });

    t.in("6.2.10 DUPS_OK_ACKNOWLEDGE");
    t.add("what was received is settled at close", "", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.session(Session.DUPS_OK_ACKNOWLEDGE);
      Peer.take(session.createConsumer(p.queue()), 3);
      session.close();
      return p.left(p.queue());
    });
    t.add("of 1,500 messages", "1500 ", p -> {
      Session sender = p.transacted();
      var producer = sender.createProducer(p.queue());
      for (int i = 0; i < 1500; i++) {
        producer.send(sender.createTextMessage("" + i));
      }
      sender.commit();
      Session session = p.session(Session.DUPS_OK_ACKNOWLEDGE);
      int n = Peer.take(session.createConsumer(p.queue()), 1500).split(" ").length;
      session.close();
      return n + " " + p.left(p.queue());
    });

    t.in("ActiveMQ INDIVIDUAL_ACKNOWLEDGE");
    t.add("settles one", "1! 3!", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.session(ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(p.queue());
      Peer.receive(consumer);
      Peer.receive(consumer).acknowledge();
      Peer.receive(consumer);
      session.close();
      return p.left(p.queue());
    });
    t.add("out of order", "", p -> {
      p.send(p.queue(), "1", "2");
      Session session = p.session(ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(p.queue());
      Message first = Peer.receive(consumer);
      Peer.receive(consumer).acknowledge();
      first.acknowledge();
      session.close();
      return p.left(p.queue());
    });
    t.add("optimizeAcknowledge settles at close", "", p -> {
      p.send(p.queue(), "1", "2", "3");
      Connection other = p.connect("jms.optimizeAcknowledge=true");
      Peer.take(Peer.auto(other).createConsumer(p.queue()), 3);
      other.close();
      return p.left(p.queue());
    });

    t.in("8.8 Closing a consumer");
    t.add("what it has not delivered stays", "2", p -> {
      p.send(p.queue(), "1", "2");
      MessageConsumer consumer = p.consumer(p.queue());
      Peer.receive(consumer);
      consumer.close();
      return p.left(p.queue());
    });
    t.add("receive after it", "IllegalStateException", p -> {
      MessageConsumer consumer = p.consumer(p.queue());
      consumer.close();
      return Peer.thrown(() -> consumer.receive(1), () -> consumer.receiveNoWait(), () -> consumer.getMessageSelector());
    });
    t.add("twice", "-", p -> {
      MessageConsumer consumer = p.consumer(p.queue());
      consumer.close();
      return Peer.thrown(() -> consumer.close());
    });
    t.add("a receive that waits returns null", null, p -> {
      MessageConsumer consumer = p.consumer(p.queue());
      Thread closer = new Thread(() -> Peer.thrown(() -> consumer.close()));
      Thread waiter = Thread.currentThread();
      Thread watch = new Thread(() -> {
        while (waiter.getState() != Thread.State.TIMED_WAITING && waiter.getState() != Thread.State.WAITING) {
          Thread.onSpinWait();
        }
        closer.start();
      });
      watch.start();
      return consumer.receive(Peer.SOON * 2);
    });

    t.in("8.2 Consumers on a queue");
    t.add("each message goes to one of two", "1 2 3 4", p -> {
      Connection other = p.connect("jms.prefetchPolicy.all=1");
      MessageConsumer a = Peer.auto(other).createConsumer(p.queue());
      MessageConsumer b = Peer.auto(other).createConsumer(p.queue());
      p.send(p.queue(), "1", "2", "3", "4");
      java.util.TreeSet<String> all = new java.util.TreeSet<>();
      for (int i = 0; i < 2; i++) {
        all.add(Peer.take(a, 1));
        all.add(Peer.take(b, 1));
      }
      return String.join(" ", all);
    });
    t.add("a queue keeps messages while nobody is there", "1 2", p -> {
      p.send(p.queue(), "1", "2");
      return Peer.take(p.consumer(p.queue()), 2);
    });
  }

  private static String resend(Peer p, MessageConsumer consumer) throws Exception {
    p.send(p.topic(), "2");
    return Peer.take(consumer, 1);
  }

  /** What is left once the first session has ended. */
  private static String settled(Peer p) throws Exception {
    Queue queue = p.queue();
    p.auto().close();
    return p.left(queue);
  }
}
