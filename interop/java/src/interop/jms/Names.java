package interop.jms;

import jakarta.jms.Connection;
import jakarta.jms.Destination;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.Topic;
import org.apache.activemq.ActiveMQMessageConsumer;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.command.ActiveMQTopic;

/** Sections 5.2, 6.2.1, 6.2.3, 6.2.9 and 7.1, and ActiveMQ's names: destinations, and who sends and receives what in which order. */
final class Names {
  static void addTo(Table t) {
    t.in("6.2.3 Destination objects");
    t.add("createQueue and createTopic make nothing", "true true", p -> {
      Queue queue = p.auto().createQueue("a.b");
      Topic topic = p.auto().createTopic("a.b");
      return queue.getQueueName().equals("a.b") + " " + topic.getTopicName().equals("a.b");
    });
    t.add("odd names", "x", p -> {
      String name = p.name + " with space/slash:colon_\u20ac";
      p.send(p.auto().createQueue(name), "x");
      return Peer.take(p.consumer(p.auto().createQueue(name)), 1);
    });
    t.add("names of 300 characters", "x", p -> {
      Queue queue = p.queue("n".repeat(300));
      p.send(queue, "x");
      return Peer.take(p.consumer(queue), 1);
    });
    t.add("names are case-sensitive", "x|", p -> {
      p.send(p.queue("a"), "x");
      return p.left(p.queue("a")) + "|" + p.left(p.queue("A"));
    });

    t.in("6.2.1 Producers and consumers");
    t.add("a null destination for a consumer", "InvalidDestinationException", p -> Peer.thrown(() -> p.auto().createConsumer(null)));
    t.add("a null destination for a browser", "InvalidDestinationException", p -> Peer.thrown(() -> p.auto().createBrowser(null)));
    t.add("a producer without a destination", "1 2", p -> {
      MessageProducer producer = p.auto().createProducer(null);
      producer.send(p.queue("a"), p.text("1"));
      producer.send(p.queue("b"), p.text("2"));
      return p.left(p.queue("a")) + " " + p.left(p.queue("b"));
    });
    t.add("a producer without a destination must be told one", "InvalidDestinationException", p -> {
      MessageProducer producer = p.auto().createProducer(null);
      return Peer.thrown(() -> producer.send(p.text("1")));
    }).fromClient5("UnsupportedOperationException");
    t.add("a null destination in a send", "InvalidDestinationException", p -> {
      MessageProducer producer = p.auto().createProducer(null);
      return Peer.thrown(() -> producer.send((Destination) null, p.text("1")));
    }).fromClient5("UnsupportedOperationException");
    t.add("another destination than the producer's", "UnsupportedOperationException", p -> {
      MessageProducer producer = p.auto().createProducer(p.queue("a"));
      return Peer.thrown(() -> producer.send(p.queue("b"), p.text("1")));
    });
    t.add("null for a message", "NullPointerException", p -> {
      MessageProducer producer = p.auto().createProducer(p.queue());
      return Peer.thrown(() -> producer.send(null));
    });
    t.add("a closed producer", "IllegalStateException", p -> {
      MessageProducer producer = p.auto().createProducer(p.queue());
      producer.close();
      return Peer.thrown(() -> producer.send(p.text("x")), () -> producer.getPriority(), () -> producer.getDestination());
    });
    t.add("the session of a message does not matter", "x", p -> {
      Message m = p.session(Session.AUTO_ACKNOWLEDGE).createTextMessage("x");
      return Peer.show(p.trip(m));
    });

    t.in("6.2.9 Message order");
    t.add("of one producer", true, p -> ordered(p, "", p.queue()));
    t.add("of one producer that does not wait", true, p -> ordered(p, "jms.useAsyncSend=true", p.queue()));
    t.add("of one producer with a window", true, p -> ordered(p, "jms.useAsyncSend=true&jms.producerWindowSize=20000", p.queue()));
    t.add("over two producers of a session", "1 2 3", p -> {
      MessageProducer a = p.auto().createProducer(p.queue());
      MessageProducer b = p.auto().createProducer(p.queue());
      a.send(p.text("1"));
      b.send(p.text("2"));
      a.send(p.text("3"));
      return Peer.take(p.consumer(p.queue()), 3);
    });

    t.in("ActiveMQ Composite destinations");
    t.add("a send to two queues", "x|x", p -> {
      p.send(new ActiveMQQueue(p.name + ".a," + p.name + ".b"), "x");
      return p.left(p.queue("a")) + "|" + p.left(p.queue("b"));
    });
    t.add("a send to a queue and a topic", "x|x", p -> {
      MessageConsumer consumer = p.consumer(p.topic("t"));
      p.send(new ActiveMQQueue(p.name + ".a,topic://" + p.name + ".t"), "x");
      return p.left(p.queue("a")) + "|" + Peer.take(consumer, 1);
    });
    t.add("JMSDestination is the part", true, p -> {
      p.send(new ActiveMQQueue(p.name + ".a," + p.name + ".b"), "x");
      return p.receive(p.queue("b")).getJMSDestination().equals(p.queue("b"));
    });
    t.add("the copies have the composite as their origin", true, p -> {
      ActiveMQQueue both = new ActiveMQQueue(p.name + ".a," + p.name + ".b");
      p.send(both, "x");
      return ((ActiveMQMessage) p.receive(p.queue("a"))).getOriginalDestination().equals(both);
    });
    t.add("a send in a transaction", "|x|x", p -> {
      Session session = p.transacted();
      Peer.send(session, new ActiveMQQueue(p.name + ".a," + p.name + ".b"), "x");
      String before = Peer.browse(p.auto(), p.queue("a"), null);
      session.commit();
      return before + "|" + p.left(p.queue("a")) + "|" + p.left(p.queue("b"));
    });
    t.add("a consumer of two queues", "[1, 2]", p -> {
      p.send(p.queue("a"), "1");
      p.send(p.queue("b"), "2");
      MessageConsumer consumer = p.consumer(new ActiveMQQueue(p.name + ".a," + p.name + ".b"));
      return new java.util.TreeSet<>(java.util.List.of(Peer.take(consumer, 2).split(" ")));
    });
    t.add("a consumer of two topics", "1 2", p -> {
      MessageConsumer consumer = p.consumer(new ActiveMQTopic(p.name + ".a," + p.name + ".b"));
      p.send(p.topic("a"), "1");
      p.send(p.topic("b"), "2");
      return Peer.take(consumer, 2);
    });

    t.in("ActiveMQ Wildcards");
    t.add("* is one segment of a topic", "1 3", p -> {
      MessageConsumer consumer = p.consumer(p.topic("w.*"));
      p.send(p.topic("w.a"), "1");
      p.send(p.topic("w.a.b"), "2");
      p.send(p.topic("w.c"), "3");
      return Peer.take(consumer, 2);
    });
    t.add("> is the rest of a topic", "1 2", p -> {
      MessageConsumer consumer = p.consumer(p.topic("w.>"));
      p.send(p.topic("w.a"), "1");
      p.send(p.topic("w.a.b"), "2");
      return Peer.take(consumer, 2);
    });
    t.add("> fits the name before it too", "0 1", p -> {
      MessageConsumer consumer = p.consumer(p.topic("w.>"));
      p.send(p.topic("w"), "0");
      p.send(p.topic("w.a"), "1");
      return Peer.take(consumer, 2);
    });
    t.add("* in the middle", "2", p -> {
      MessageConsumer consumer = p.consumer(p.topic("w.*.z"));
      p.send(p.topic("w.a.y"), "1");
      p.send(p.topic("w.a.z"), "2");
      return Peer.take(consumer, 1);
    });
    t.add("of queues that are there", "[1, 2]", p -> {
      p.send(p.queue("w.a"), "1");
      p.send(p.queue("w.b"), "2");
      return new java.util.TreeSet<>(java.util.List.of(Peer.take(p.consumer(p.queue("w.*")), 2).split(" ")));
    });
    t.add("of queues that come later", "1 2", p -> {
      MessageConsumer consumer = p.consumer(p.queue("w.>"));
      p.send(p.queue("w.a"), "1");
      p.send(p.queue("w.b.c"), "2");
      return Peer.take(consumer, 2);
    });
    t.add("JMSDestination is the real one", true, p -> {
      MessageConsumer consumer = p.consumer(p.topic("w.*"));
      p.send(p.topic("w.a"), "1");
      return Peer.receive(consumer).getJMSDestination().equals(p.topic("w.a"));
    });
    t.add("with a selector", "2", p -> {
      MessageConsumer consumer = p.auto().createConsumer(p.queue("w.*"), "JMSType = 'b'");
      Message m = p.text("2");
      m.setJMSType("b");
      p.send(p.queue("w.a"), "1");
      p.send(p.queue("w.a"), m);
      return Peer.take(consumer, 1);
    });

    t.in("ActiveMQ Options in names");
    t.add("consumer.prefetchSize", 3, p -> ((ActiveMQMessageConsumer) p.consumer(p.queue("q?consumer.prefetchSize=3"))).getPrefetchNumber());
    t.add("do not belong to the name", "x", p -> {
      p.send(p.queue("q"), "x");
      return Peer.take(p.consumer(p.queue("q?consumer.prefetchSize=3")), 1);
    });
    t.add("consumer.selector", "2", p -> {
      MessageConsumer consumer = p.consumer(p.queue("q?consumer.selector=JMSPriority%20%3D%209"));
      p.send(p.queue(), "1");
      p.auto().createProducer(p.queue()).send(p.text("2"), 2, 9, 0);
      return Peer.take(consumer, 1);
    });
    t.add("consumer.exclusive", "1 2 3 4", p -> {
      MessageConsumer first = p.consumer(p.queue("q?consumer.exclusive=true"));
      p.consumer(p.queue("q?consumer.exclusive=true"));
      p.consumer(p.queue());
      p.send(p.queue(), "1", "2", "3", "4");
      return Peer.take(first, 4);
    });
    t.add("an exclusive consumer's heir", "1 2", p -> {
      MessageConsumer first = p.consumer(p.queue("q?consumer.exclusive=true"));
      MessageConsumer second = p.consumer(p.queue("q?consumer.exclusive=true"));
      p.send(p.queue(), "1");
      String got = Peer.take(first, 1);
      first.close();
      p.send(p.queue(), "2");
      return got + " " + Peer.take(second, 1);
    });
    t.add("consumer.priority", "1 2", p -> {
      p.consumer(p.queue("q?consumer.priority=1"));
      MessageConsumer high = p.consumer(p.queue("q?consumer.priority=5"));
      p.send(p.queue(), "1", "2");
      return Peer.take(high, 2);
    });

    t.in("ActiveMQ Prefetch");
    for (int prefetch : new int[] {0, 1, 2}) {
      String options = "jms.prefetchPolicy.all=" + prefetch;
      t.add(prefetch + ": receives in order", "1 2 3", p -> {
        p.send(p.queue(), "1", "2", "3");
        return Peer.take(Peer.auto(p.connect(options)).createConsumer(p.queue()), 3);
      });
      t.add(prefetch + ": in a transaction, twice", "1 2 3|1! 2! 3!", p -> {
        p.send(p.queue(), "1", "2", "3");
        Session session = Peer.session(p.connect(options), Session.SESSION_TRANSACTED);
        MessageConsumer consumer = session.createConsumer(p.queue());
        String got = Peer.take(consumer, 3);
        session.rollback();
        got += "|" + Peer.take(consumer, 3);
        session.commit();
        return got;
      });
      t.add(prefetch + ": what is beyond goes to another", "1 2 3 4".substring(2 * prefetch), p -> {
        Peer.auto(p.connect(options)).createConsumer(p.queue());
        p.send(p.queue(), "1", "2", "3", "4");
        return Peer.take(p.consumer(p.queue()), 4 - prefetch);
      });
    }
    t.add("0: receiveNoWait takes what is there", "x null", p -> {
      p.send(p.queue(), "x");
      MessageConsumer consumer = Peer.auto(p.connect("jms.prefetchPolicy.all=0")).createConsumer(p.queue());
      return Peer.show(consumer.receiveNoWait()) + " " + consumer.receiveNoWait();
    });
    t.add("0: a timed receive of an empty queue", null, p -> Peer.auto(p.connect("jms.prefetchPolicy.all=0")).createConsumer(p.queue()).receive(5));
    t.add("0: a listener", "JMSException", p -> {
      MessageConsumer consumer = Peer.auto(p.connect("jms.prefetchPolicy.all=0")).createConsumer(p.queue());
      return Peer.thrown(() -> consumer.setMessageListener(m -> { }));
    });
  }

  private static boolean ordered(Peer p, String options, Queue queue) throws Exception {
    Session session = Peer.auto(p.connect(options));
    MessageProducer producer = session.createProducer(queue);
    producer.setDeliveryMode(jakarta.jms.DeliveryMode.NON_PERSISTENT);
    StringBuilder want = new StringBuilder();
    for (int i = 0; i < 300; i++) {
      producer.send(session.createTextMessage("" + i));
      want.append(i == 0 ? "" : " ").append(i);
    }
    return Peer.take(p.consumer(queue), 300).equals(want.toString());
  }
}
