package interop.jms;

import jakarta.jms.Connection;
import jakarta.jms.ConnectionMetaData;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.QueueBrowser;
import jakarta.jms.Session;
import jakarta.jms.TemporaryQueue;
import jakarta.jms.TemporaryTopic;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.activemq.ActiveMQConnectionFactory;

/** Sections 6.1, 6.2, 8.4 and 8.7: connections and sessions, started, stopped and closed; listeners. */
final class Lives {
  /** The broker checks credentials that are sent; this is its account. */
  static final String USER = System.getenv("INTEROP_USER");
  static final String PASSWORD = System.getenv("INTEROP_PASSWORD");
  private static final String EARLY = "ActiveMQ can answer before the client was told that the destination is there, and the client then refuses to send.";
  private static final String GONE = "The specification names this exception; ActiveMQ's does not extend it.";

  static void addTo(Table t) {
    t.in("6.1.1 Authentication");
    t.add("a wrong password", "JMSSecurityException", p -> Peer.thrown(() -> login(p, USER, "wrong")));
    t.add("an unknown user", "JMSSecurityException", p -> Peer.thrown(() -> login(p, "nobody", PASSWORD)));
    t.add("the right password", "-", p -> Peer.thrown(() -> login(p, USER, PASSWORD)));

    t.in("6.1.2 Client identifier");
    t.add("set before use", true, p -> {
      Connection c = p.unstarted("");
      c.setClientID(p.name);
      c.start();
      return c.getClientID().equals(p.name);
    });
    t.add("set after use", "IllegalStateException", p -> {
      Connection c = p.connect("");
      Peer.auto(c);
      return Peer.thrown(() -> c.setClientID("late"));
    });
    t.add("set twice", "IllegalStateException", p -> {
      Connection c = p.unstarted("");
      c.setClientID(p.name);
      return Peer.thrown(() -> c.setClientID("again"));
    });
    t.add("in use", "InvalidClientIDException", p -> {
      p.client("c");
      return Peer.thrown(() -> p.client("c"));
    });
    t.add("is free after close", "-", p -> {
      p.client("c").close();
      return Peer.thrown(() -> p.client("c"));
    });

    t.in("6.1.4 Starting a connection");
    t.add("nothing is received before", "null x", p -> {
      p.send(p.queue(), "x");
      Connection c = p.unstarted("");
      MessageConsumer consumer = Peer.auto(c).createConsumer(p.queue());
      Message early = consumer.receive(20);
      c.start();
      return early + " " + Peer.take(consumer, 1);
    });
    t.add("a stopped connection can send", "x", p -> {
      Session session = Peer.auto(p.unstarted(""));
      Peer.send(session, p.queue(), "x");
      return Peer.take(p.consumer(p.queue()), 1);
    });
    t.add("a second start is ignored", "-", p -> Peer.thrown(() -> p.connection().start()));

    t.in("6.1.5 Pausing delivery");
    t.add("nothing is received while stopped", "1 null 2", p -> {
      Connection c = p.connect("");
      MessageConsumer consumer = Peer.auto(c).createConsumer(p.queue());
      p.send(p.queue(), "1");
      String got = Peer.take(consumer, 1);
      c.stop();
      p.send(p.queue(), "2");
      got += " " + consumer.receive(20);
      c.start();
      return got + " " + Peer.take(consumer, 1);
    });
    t.add("a second stop is ignored", "-", p -> Peer.thrown(() -> p.connection().stop(), () -> p.connection().stop()));
    t.add("stop from a listener of the connection", "-", p -> {
      LinkedBlockingQueue<String> got = new LinkedBlockingQueue<>();
      p.consumer(p.queue()).setMessageListener(m -> got.add(Peer.thrown(() -> p.connection().stop())));
      Peer.send(Peer.auto(p.connect("")), p.queue(), "x");
      return Peer.await(got);
    });

    t.in("6.1.6 ConnectionMetaData");
    t.add("says who it is", "ActiveMQ true", p -> {
      ConnectionMetaData about = p.connection().getMetaData();
      return about.getJMSProviderName() + " " + (about.getJMSMajorVersion() > 0 && about.getProviderMajorVersion() > 0);
    });

    t.in("6.1.7 ExceptionListener");
    t.add("is the one that was set", true, p -> {
      jakarta.jms.ExceptionListener listener = e -> { };
      p.connection().setExceptionListener(listener);
      return p.connection().getExceptionListener() == listener;
    });

    t.in("6.1.8 Closing a connection");
    t.add("twice", "-", p -> {
      Connection c = p.connect("");
      c.close();
      return Peer.thrown(() -> c.close());
    });
    t.add("what is used after it", "IllegalStateException", p -> {
      Connection c = p.connect("");
      Session session = Peer.auto(c);
      MessageConsumer consumer = session.createConsumer(p.queue());
      MessageProducer producer = session.createProducer(p.queue());
      c.close();
      return Peer.thrown(() -> c.start(), () -> c.stop(), () -> c.createSession(false, 1), () -> session.createTextMessage(), () -> session.createConsumer(p.queue()),
          () -> consumer.receive(1), () -> producer.send(p.text("x")), () -> session.recover());
    });
    t.add("a receive that waits returns null", null, p -> {
      Connection c = p.connect("");
      MessageConsumer consumer = Peer.auto(c).createConsumer(p.queue());
      Thread waiter = Thread.currentThread();
      new Thread(() -> {
        while (waiter.getState() != Thread.State.TIMED_WAITING && waiter.getState() != Thread.State.WAITING) {
          Thread.onSpinWait();
        }
        Peer.thrown(() -> c.close());
      }).start();
      return consumer.receive(Peer.SOON * 2);
    });
    t.add("deletes its temporary destinations", "InvalidDestinationException", p -> {
      Connection c = p.connect("");
      Queue temporary = Peer.auto(c).createTemporaryQueue();
      c.close();
      Peer.settle(p.connection());
      return Peer.thrown(() -> p.send(temporary, "x"));
    }).classic("JMSException", GONE);

    t.in("6.2.15 Closing a session");
    t.add("twice", "-", p -> {
      p.auto().close();
      return Peer.thrown(() -> p.auto().close());
    });
    t.add("what is used after it", "IllegalStateException", p -> {
      Queue queue = p.queue();
      Session session = p.session(Session.AUTO_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(queue);
      MessageProducer producer = session.createProducer(queue);
      Message m = session.createTextMessage("x");
      session.close();
      return Peer.thrown(() -> session.createConsumer(queue), () -> session.createProducer(queue), () -> session.createMessage(), () -> consumer.receive(1),
          () -> producer.send(m), () -> session.createBrowser(queue), () -> session.getTransacted(), () -> session.createTemporaryQueue(), () -> session.unsubscribe("s"));
    });
    t.add("its producer and consumer can be closed", "-", p -> {
      Session session = p.session(Session.AUTO_ACKNOWLEDGE);
      MessageConsumer consumer = session.createConsumer(p.queue());
      MessageProducer producer = session.createProducer(p.queue());
      session.close();
      return Peer.thrown(() -> consumer.close(), () -> producer.close());
    });
    t.add("leaves its temporary queue to the connection", "x", p -> {
      Session session = p.session(Session.AUTO_ACKNOWLEDGE);
      Queue temporary = session.createTemporaryQueue();
      session.close();
      p.send(temporary, "x");
      return Peer.take(p.consumer(temporary), 1);
    });
    t.add("leaves the others of the connection alone", "x", p -> {
      p.session(Session.AUTO_ACKNOWLEDGE).close();
      return Peer.show(p.trip(p.text("x")));
    });

    t.in("6.2.2 Temporary destinations");
    t.add("have names of their own", true, p -> {
      TemporaryQueue a = p.auto().createTemporaryQueue();
      TemporaryQueue b = p.auto().createTemporaryQueue();
      return !a.getQueueName().equals(b.getQueueName());
    });
    t.add("another connection can send", "x", p -> {
      Queue temporary = p.auto().createTemporaryQueue();
      Peer.send(Peer.auto(p.connect("")), temporary, "x");
      return Peer.take(p.consumer(temporary), 1);
    }).classic("*", EARLY);
    t.add("another connection cannot consume", "InvalidDestinationException", p -> {
      Queue temporary = p.auto().createTemporaryQueue();
      Session other = Peer.auto(p.connect(""));
      return Peer.thrown(() -> other.createConsumer(temporary));
    });
    t.add("another session of the connection can consume", "x", p -> {
      Queue temporary = p.auto().createTemporaryQueue();
      MessageConsumer consumer = p.session(Session.AUTO_ACKNOWLEDGE).createConsumer(temporary);
      p.send(temporary, "x");
      return Peer.take(consumer, 1);
    });
    t.add("delete with a consumer", "JMSException", p -> {
      TemporaryQueue temporary = p.auto().createTemporaryQueue();
      p.consumer(temporary);
      return Peer.thrown(() -> temporary.delete());
    });
    t.add("delete after its consumer's close", "-", p -> {
      TemporaryQueue temporary = p.auto().createTemporaryQueue();
      p.consumer(temporary).close();
      return Peer.thrown(() -> temporary.delete());
    });
    t.add("a send after delete", "InvalidDestinationException", p -> {
      TemporaryQueue temporary = p.auto().createTemporaryQueue();
      temporary.delete();
      return Peer.thrown(() -> p.send(temporary, "x"));
    }).classic("JMSException", GONE);
    t.add("a consumer after delete", "InvalidDestinationException", p -> {
      TemporaryQueue temporary = p.auto().createTemporaryQueue();
      temporary.delete();
      return Peer.thrown(() -> p.consumer(temporary));
    }).classic("*", "ActiveMQ sometimes makes the destination anew.");
    t.add("a topic", "x x", p -> {
      TemporaryTopic temporary = p.auto().createTemporaryTopic();
      MessageConsumer a = p.consumer(temporary);
      MessageConsumer b = p.consumer(temporary);
      Peer.send(Peer.auto(p.connect("")), temporary, "x");
      return Peer.take(a, 1) + " " + Peer.take(b, 1);
    }).classic("*", EARLY);
    t.add("a durable subscription of a topic", "InvalidDestinationException", p -> {
      Session session = Peer.auto(p.client("c"));
      TemporaryTopic temporary = session.createTemporaryTopic();
      return Peer.thrown(() -> session.createDurableSubscriber(temporary, "s"));
    }).classic("JMSException", GONE);
    t.add("a browser", "x", p -> {
      Queue temporary = p.auto().createTemporaryQueue();
      p.send(temporary, "x");
      return Peer.browse(p.auto(), temporary, null);
    });

    t.in("2.16 Request and reply");
    t.add("by a temporary queue", "answer to 1, same correlation", p -> {
      Connection server = p.connect("");
      Session there = Peer.auto(server);
      MessageConsumer requests = there.createConsumer(p.queue());
      requests.setMessageListener(m -> Peer.thrown(() -> {
        Message answer = there.createTextMessage("answer to " + Peer.show(m));
        answer.setJMSCorrelationID(m.getJMSMessageID());
        there.createProducer(m.getJMSReplyTo()).send(answer);
      }));
      Queue replies = p.auto().createTemporaryQueue();
      Message request = p.text("1");
      request.setJMSReplyTo(replies);
      p.send(p.queue(), request);
      Message answer = p.receive(replies);
      return Peer.show(answer) + ", " + (answer.getJMSCorrelationID().equals(request.getJMSMessageID()) ? "same" : "other") + " correlation";
    });
    t.add("QueueRequestor", "pong", p -> {
      Session there = Peer.auto(p.connect(""));
      there.createConsumer(p.queue()).setMessageListener(m -> Peer.thrown(() -> there.createProducer(m.getJMSReplyTo()).send(there.createTextMessage("pong"))));
      jakarta.jms.QueueSession session = ((jakarta.jms.QueueConnection) p.connection()).createQueueSession(false, 1);
      return Peer.show(new jakarta.jms.QueueRequestor(session, p.queue()).request(session.createTextMessage("ping")));
    });
    t.add("TopicRequestor", "pong", p -> {
      Session there = Peer.auto(p.connect(""));
      there.createConsumer(p.topic()).setMessageListener(m -> Peer.thrown(() -> there.createProducer(m.getJMSReplyTo()).send(there.createTextMessage("pong"))));
      jakarta.jms.TopicSession session = ((jakarta.jms.TopicConnection) p.connection()).createTopicSession(false, 1);
      return Peer.show(new jakarta.jms.TopicRequestor(session, p.topic()).request(session.createTextMessage("ping")));
    });

    browsers(t);
    listeners(t);

    t.in("8.5 Receiving synchronously");
    t.add("receiveNoWait of an empty queue", null, p -> p.consumer(p.queue()).receiveNoWait());
    t.add("receive with a timeout of an empty queue", null, p -> p.consumer(p.queue()).receive(5));
    t.add("receive waits", "x", p -> {
      MessageConsumer consumer = p.consumer(p.queue());
      Session other = Peer.auto(p.connect(""));
      new Thread(() -> Peer.thrown(() -> Peer.send(other, p.queue(), "x"))).start();
      return Peer.show(consumer.receive());
    });
  }

  private static void login(Peer p, String user, String password) throws Exception {
    ActiveMQConnectionFactory factory = Peer.factory("");
    p.keep(factory.createConnection(user, password)).start();
  }

  private static void browsers(Table t) {
    t.in("4.1.6 QueueBrowser");
    t.add("shows in order and takes nothing", "1 2 3|1 2 3", p -> {
      p.send(p.queue(), "1", "2", "3");
      return Peer.browse(p.auto(), p.queue(), null) + "|" + p.left(p.queue());
    });
    t.add("of an empty queue", "", p -> Peer.browse(p.auto(), p.queue(), null));
    t.add("of a queue that is not there yet", "", p -> Peer.browse(p.auto(), p.queue("never"), null));
    t.add("with a selector", "2", p -> {
      for (int i = 1; i < 4; i++) {
        Message m = p.text("" + i);
        m.setIntProperty("n", i);
        p.send(p.queue(), m);
      }
      return Peer.browse(p.auto(), p.queue(), "n = 2");
    });
    t.add("of 1,200 messages", 1200, p -> {
      Session session = p.transacted();
      MessageProducer producer = session.createProducer(p.queue());
      for (int i = 0; i < 1200; i++) {
        producer.send(session.createTextMessage("x"));
      }
      session.commit();
      return Peer.browse(p.auto(), p.queue(), null).split(" ").length;
    });
    t.add("what a consumer holds is shown too", "1 2", p -> {
      p.send(p.queue(), "1", "2");
      MessageConsumer consumer = p.session(Session.CLIENT_ACKNOWLEDGE).createConsumer(p.queue());
      Peer.receive(consumer);
      return Peer.browse(p.auto(), p.queue(), null).replace("!", "");
    });
    t.add("what was acknowledged is not shown", "2", p -> {
      p.send(p.queue(), "1", "2");
      MessageConsumer consumer = p.session(Session.CLIENT_ACKNOWLEDGE).createConsumer(p.queue());
      Peer.receive(consumer).acknowledge();
      consumer.close();
      Peer.settle(p.connection());
      return Peer.browse(p.auto(), p.queue(), null);
    });
    t.add("uncommitted messages are not shown", "", p -> {
      Peer.send(p.transacted(), p.queue(), "1");
      return Peer.browse(p.auto(), p.queue(), null);
    });
    t.add("its queue and selector", "true n = 1", p -> {
      QueueBrowser browser = p.auto().createBrowser(p.queue(), "n = 1");
      return browser.getQueue().equals(p.queue()) + " " + browser.getMessageSelector();
    });
    t.add("closed", "IllegalStateException", p -> {
      QueueBrowser browser = p.auto().createBrowser(p.queue());
      browser.close();
      return Peer.thrown(() -> browser.getEnumeration());
    });
    t.add("a second enumeration looks again", "1 1 2", p -> {
      p.send(p.queue(), "1");
      String first = Peer.browse(p.auto(), p.queue(), null);
      p.send(p.queue(), "2");
      return first + " " + Peer.browse(p.auto(), p.queue(), null);
    });
    t.add("does not mark as redelivered", "1", p -> {
      p.send(p.queue(), "1");
      Peer.browse(p.auto(), p.queue(), null);
      return p.left(p.queue());
    });
  }

  private static void listeners(Table t) {
    t.in("8.7 Receiving asynchronously");
    t.add("in order", "1 2 3", p -> {
      LinkedBlockingQueue<String> got = new LinkedBlockingQueue<>();
      p.consumer(p.queue()).setMessageListener(m -> Peer.thrown(() -> got.add(Peer.show(m))));
      Peer.send(Peer.auto(p.connect("")), p.queue(), "1", "2", "3");
      return Peer.await(got) + " " + Peer.await(got) + " " + Peer.await(got);
    });
    t.add("set when messages wait already", "1 2", p -> {
      p.send(p.queue(), "1", "2");
      LinkedBlockingQueue<String> got = new LinkedBlockingQueue<>();
      p.consumer(p.queue()).setMessageListener(m -> Peer.thrown(() -> got.add(Peer.show(m))));
      return Peer.await(got) + " " + Peer.await(got);
    });
    t.add("receive beside it", "IllegalStateException", p -> {
      MessageConsumer consumer = p.consumer(p.queue());
      consumer.setMessageListener(m -> { });
      return Peer.thrown(() -> consumer.receive(1));
    });
    t.add("null ends it", "1 2", p -> {
      LinkedBlockingQueue<String> got = new LinkedBlockingQueue<>();
      MessageConsumer consumer = p.consumer(p.queue());
      consumer.setMessageListener(m -> Peer.thrown(() -> got.add(Peer.show(m))));
      Session other = Peer.auto(p.connect(""));
      Peer.send(other, p.queue(), "1");
      String first = Peer.await(got);
      consumer.setMessageListener(null);
      Peer.send(other, p.queue(), "2");
      return first + " " + Peer.take(consumer, 1);
    });
    t.add("one that throws gets the message again", "1 1!", p -> {
      LinkedBlockingQueue<String> got = new LinkedBlockingQueue<>();
      p.consumer(p.queue()).setMessageListener(m -> {
        Peer.thrown(() -> got.add(Peer.show(m)));
        if (got.size() == 1) {
          throw new IllegalArgumentException("the case's own");
        }
      });
      Peer.send(Peer.auto(p.connect("")), p.queue(), "1");
      while (got.size() < 2) {
        Thread.onSpinWait();
      }
      return String.join(" ", got);
    });
    t.add("a session's listeners run one at a time", 0, p -> {
      java.util.concurrent.atomic.AtomicInteger inside = new java.util.concurrent.atomic.AtomicInteger();
      java.util.concurrent.atomic.AtomicInteger overlaps = new java.util.concurrent.atomic.AtomicInteger();
      java.util.concurrent.CountDownLatch all = new java.util.concurrent.CountDownLatch(100);
      for (String part : new String[] {"a", "b"}) {
        p.consumer(p.queue(part)).setMessageListener(m -> {
          if (inside.incrementAndGet() > 1) {
            overlaps.incrementAndGet();
          }
          Thread.yield();
          inside.decrementAndGet();
          all.countDown();
        });
      }
      Session other = Peer.session(p.connect(""), Session.SESSION_TRANSACTED);
      for (int i = 0; i < 50; i++) {
        Peer.send(other, p.queue("a"), "x");
        Peer.send(other, p.queue("b"), "x");
      }
      other.commit();
      all.await();
      return overlaps;
    });
    t.add("recover in one", "1 1! 2", p -> {
      LinkedBlockingQueue<String> got = new LinkedBlockingQueue<>();
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      p.send(p.queue(), "1", "2");
      session.createConsumer(p.queue()).setMessageListener(m -> Peer.thrown(() -> {
        got.add(Peer.show(m));
        if (m.getJMSRedelivered() || got.size() > 1) {
          m.acknowledge();
        } else {
          session.recover();
        }
      }));
      return Peer.await(got) + " " + Peer.await(got) + " " + Peer.await(got);
    });
    t.add("a consumer closed in its own", "- 2", p -> {
      LinkedBlockingQueue<String> got = new LinkedBlockingQueue<>();
      MessageConsumer consumer = p.consumer(p.queue());
      consumer.setMessageListener(m -> got.add(Peer.thrown(() -> consumer.close())));
      Peer.send(Peer.auto(p.connect("")), p.queue(), "1", "2");
      return Peer.await(got) + " " + p.left(p.queue());
    });
  }
}
