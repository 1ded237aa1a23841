package interop.jms;

import jakarta.jms.Connection;
import jakarta.jms.ConnectionConsumer;
import jakarta.jms.DeliveryMode;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.ServerSession;
import jakarta.jms.Session;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.command.ActiveMQTopic;

/** What people set in a connection's URL, and corners that few go to. */
final class Options {
  static void addTo(Table t) {
    t.in("ActiveMQ Connection options");
    for (String option : new String[] {"jms.alwaysSyncSend=true", "jms.useAsyncSend=true", "jms.dispatchAsync=false", "jms.alwaysSessionAsync=false", "jms.copyMessageOnSend=false",
        "jms.messagePrioritySupported=false", "jms.checkForDuplicates=false", "jms.watchTopicAdvisories=false", "jms.optimizeAcknowledge=true", "jms.optimizedMessageDispatch=false",
        "jms.sendAcksAsync=false", "jms.useCompression=true", "jms.producerWindowSize=2048", "jms.disableTimeStampsByDefault=true", "jms.useRetroactiveConsumer=true",
        "jms.exclusiveConsumer=true", "jms.nonBlockingRedelivery=true", "jms.closeTimeout=1000", "jms.consumerExpiryCheckEnabled=false", "jms.transactedIndividualAck=true",
        "wireFormat.tightEncodingEnabled=false", "wireFormat.cacheEnabled=false", "wireFormat.cacheSize=128", "wireFormat.maxInactivityDuration=0", "wireFormat.stackTraceEnabled=false",
        "wireFormat.tcpNoDelayEnabled=false", "wireFormat.version=1", "wireFormat.version=9", "wireFormat.version=11", "keepAlive=true", "soTimeout=60000"}) {
      t.add(option, "1 2 1! 2! order 7", p -> {
        Connection c = p.connect(option);
        Session session = Peer.session(c, Session.SESSION_TRANSACTED);
        Message m = session.createTextMessage("1");
        m.setIntProperty("n", 7);
        m.setJMSType("order");
        MessageProducer producer = session.createProducer(p.queue());
        producer.send(m);
        producer.send(session.createTextMessage("2"));
        session.commit();
        MessageConsumer consumer = session.createConsumer(p.queue());
        String got = Peer.take(consumer, 2);
        session.rollback();
        Message again = Peer.receive(consumer);
        got += " " + Peer.show(again) + " " + Peer.take(consumer, 1);
        session.commit();
        return got + " " + again.getJMSType() + " " + again.getIntProperty("n");
      });
    }
    t.add("failover:", "x", p -> {
      Connection c = p.keep(new org.apache.activemq.ActiveMQConnectionFactory("failover:(" + System.getenv("INTEROP_OPENWIRE") + ")?randomize=false").createConnection());
      c.start();
      Session session = Peer.auto(c);
      Peer.send(session, p.queue(), "x");
      return Peer.take(session.createConsumer(p.queue()), 1);
    });
    t.add("nestedMapAndListEnabled=false refuses lists", "MessageFormatException", p -> {
      Session session = Peer.auto(p.connect("jms.nestedMapAndListEnabled=false"));
      return Peer.thrown(() -> session.createMapMessage().setObject("l", java.util.List.of(1)));
    });

    t.in("ActiveMQ Corners");
    String pattern = "A message to a pattern is refused, with words that say so; ActiveMQ takes it, and it is in one of the destinations that fit, or nowhere.";
    t.add("a send to a pattern of queues", "InvalidDestinationException", p -> {
      p.consumer(p.queue("w.a"));
      return Peer.thrown(() -> p.send(p.queue("w.*"), "1"));
    }).classic("-", pattern);
    t.add("a send to a pattern of topics", "InvalidDestinationException", p -> {
      p.consumer(p.topic("w.a"));
      return Peer.thrown(() -> p.send(p.topic("w.*"), "1"));
    }).classic("-", pattern);
    t.add("noLocal of a queue's consumer", "1 2", p -> {
      MessageConsumer consumer = p.auto().createConsumer(p.queue(), null, true);
      p.send(p.queue(), "1");
      Peer.send(Peer.auto(p.connect("")), p.queue(), "2");
      String got = Peer.take(consumer, 1);
      return got.equals("1") ? got + " " + Peer.take(consumer, 1) : got;
    }).classic("2", "noLocal is for topics: the specification leaves it open what it does for queues, and a message must not wait for ever because of it.");
    t.add("a name with spaces around", "1", p -> {
      p.send(new ActiveMQQueue(" " + p.name + ".q "), "1");
      return Peer.take(p.consumer(p.queue()), 1);
    });
    t.add("a composite of the same queue twice", "1", p -> {
      p.send(new ActiveMQQueue(p.name + ".q," + p.name + ".q"), "1");
      return p.left(p.queue());
    });
    t.add("a browser of a composite", "[1, 2]", p -> {
      p.send(p.queue("a"), "1");
      p.send(p.queue("b"), "2");
      return new java.util.TreeSet<>(java.util.List.of(Peer.browse(p.auto(), new ActiveMQQueue(p.name + ".a," + p.name + ".b"), null).split(" ")));
    });
    t.add("a browser of a pattern", "[1, 2]", p -> {
      p.send(p.queue("w.a"), "1");
      p.send(p.queue("w.b"), "2");
      return new java.util.TreeSet<>(java.util.List.of(Peer.browse(p.auto(), p.queue("w.*"), null).split(" ")));
    });
    t.add("a consumer of overlapping topics gets one copy", "1 END", p -> {
      MessageConsumer consumer = p.consumer(new ActiveMQTopic(p.name + ".a," + p.name + ".*"));
      p.send(p.topic("a"), "1", Peer.END);
      return Peer.take(consumer, 2);
    });
    t.add("JMSReplyTo of a composite", true, p -> {
      Message m = p.text("x");
      ActiveMQQueue both = new ActiveMQQueue("a,b");
      m.setJMSReplyTo(both);
      return p.trip(m).getJMSReplyTo().equals(both);
    });
    t.add("a message that expires in a transaction", "2", p -> {
      Session session = p.transacted();
      MessageProducer producer = session.createProducer(p.queue());
      producer.send(session.createTextMessage("1"), DeliveryMode.PERSISTENT, 4, 1);
      producer.send(session.createTextMessage("2"));
      for (long sent = System.currentTimeMillis(); System.currentTimeMillis() <= sent + 1; ) {
        Thread.onSpinWait();
      }
      session.commit();
      return p.left(p.queue());
    });
    t.add("priorities in a transaction", "9 4 0", p -> {
      Session session = p.transacted();
      MessageProducer producer = session.createProducer(p.queue());
      for (int priority : new int[] {0, 9, 4}) {
        producer.send(session.createTextMessage("" + priority), DeliveryMode.PERSISTENT, priority, 0);
      }
      session.commit();
      return Peer.take(p.consumer(p.queue()), 3);
    }).classic("0 9 4", "Priorities hold without configuration; ActiveMQ's queues need prioritizedMessages.");
    t.add("two consumers, one rolls back", "1|1!", p -> {
      p.send(p.queue(), "1");
      Session a = p.transacted();
      String got = Peer.take(a.createConsumer(p.queue()), 1);
      MessageConsumer b = p.session(Session.AUTO_ACKNOWLEDGE).createConsumer(p.queue());
      a.rollback();
      a.close();
      return got + "|" + Peer.take(b, 1);
    });
    t.add("rollback twice keeps order", "1! 2! 3!", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      for (int i = 0; i < 2; i++) {
        Peer.take(consumer, 3);
        session.rollback();
      }
      return Peer.take(consumer, 3);
    });
    t.add("rollback of a part keeps order", "1! 2 3", p -> {
      p.send(p.queue(), "1", "2", "3");
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      Peer.take(consumer, 1);
      session.rollback();
      session.close();
      return p.left(p.queue());
    });
    t.add("a redelivery policy of the connection", "3", p -> {
      Connection c = p.connect("jms.redeliveryPolicy.maximumRedeliveries=2");
      p.send(p.queue(), "x");
      Session session = Peer.session(c, Session.SESSION_TRANSACTED);
      MessageConsumer consumer = session.createConsumer(p.queue());
      for (int i = 0; i < 3; i++) {
        Peer.receive(consumer);
        session.rollback();
      }
      return p.rest(p.queue(), consumer).isEmpty() ? 3 : "more";
    });
    t.add("unlimited redeliveries", 20, p -> {
      Connection c = p.connect("jms.redeliveryPolicy.maximumRedeliveries=-1");
      p.send(p.queue(), "x");
      Session session = Peer.session(c, Session.SESSION_TRANSACTED);
      MessageConsumer consumer = session.createConsumer(p.queue());
      int count = 0;
      for (int i = 0; i < 20; i++) {
        count = Peer.receive(consumer).getIntProperty("JMSXDeliveryCount");
        session.rollback();
      }
      return count;
    });
    t.add("a message of a consumer that was never read keeps its count", "1", p -> {
      p.send(p.queue(), "x");
      Connection c = p.connect("");
      Peer.auto(c).createConsumer(p.queue());
      Peer.settle(c);
      c.close();
      return p.receive(p.queue()).getStringProperty("JMSXDeliveryCount");
    });
    t.add("a session closed in a listener's pause gives back", "1! 2", p -> {
      p.send(p.queue(), "1", "2");
      Session session = p.transacted();
      LinkedBlockingQueue<String> got = new LinkedBlockingQueue<>();
      MessageConsumer consumer = session.createConsumer(p.queue("q?consumer.prefetchSize=1"));
      consumer.setMessageListener(m -> Peer.thrown(() -> {
        if (got.isEmpty()) {
          got.add(Peer.show(m));
          p.connection().stop();
        }
      }));
      Peer.await(got);
      session.close();
      p.connection().start();
      return p.left(p.queue());
    });

    t.in("11.2.4 ConnectionConsumer");
    t.add("of a queue", "1 2", p -> {
      LinkedBlockingQueue<String> got = new LinkedBlockingQueue<>();
      Session session = p.session(Session.AUTO_ACKNOWLEDGE);
      session.setMessageListener(m -> Peer.thrown(() -> got.add(Peer.show(m))));
      ConnectionConsumer consumer = p.connection().createConnectionConsumer(p.queue(), null, () -> server(session), 1);
      p.send(p.queue(), "1", "2");
      String both = Peer.await(got) + " " + Peer.await(got);
      consumer.close();
      return both;
    });
    t.add("of a durable subscription", "1", p -> {
      LinkedBlockingQueue<String> got = new LinkedBlockingQueue<>();
      Connection c = p.client("c");
      Session session = Peer.auto(c);
      session.setMessageListener(m -> Peer.thrown(() -> got.add(Peer.show(m))));
      ConnectionConsumer consumer = c.createDurableConnectionConsumer(p.topic(), "s", null, () -> server(session), 1);
      p.send(p.topic(), "1");
      String one = Peer.await(got);
      consumer.close();
      return one;
    });
  }

  /** A server session that runs in the calling thread. */
  private static ServerSession server(Session session) {
    return new ServerSession() {
      @Override
      public Session getSession() {
        return session;
      }

      @Override
      public void start() {
        session.run();
      }
    };
  }
}
