package interop.jms;

import jakarta.jms.DeliveryMode;
import jakarta.jms.Destination;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.lang.reflect.Proxy;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** Section 3.4: header fields, who sets them, and when. */
final class Headers {
  static void addTo(Table t) {
    t.in("3.4.1 JMSDestination");
    t.add("is what was sent to", true, p -> p.trip(p.text("x")).getJMSDestination().equals(p.queue()));
    t.add("is set by send", true, p -> {
      Message m = p.text("x");
      m.setJMSDestination(p.topic());
      p.send(p.queue(), m);
      return m.getJMSDestination().equals(p.queue());
    });
    t.add("of a topic", true, p -> {
      MessageConsumer consumer = p.consumer(p.topic());
      p.send(p.topic(), "x");
      return Peer.receive(consumer).getJMSDestination().equals(p.topic());
    });

    t.in("3.4.2 JMSDeliveryMode");
    t.add("is PERSISTENT by default", DeliveryMode.PERSISTENT, p -> p.trip(p.text("x")).getJMSDeliveryMode());
    t.add("of the producer", DeliveryMode.NON_PERSISTENT, p -> {
      MessageProducer producer = p.auto().createProducer(p.queue());
      producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
      producer.send(p.text("x"));
      return p.receive(p.queue()).getJMSDeliveryMode();
    });
    t.add("of one send", DeliveryMode.NON_PERSISTENT, p -> {
      p.auto().createProducer(p.queue()).send(p.text("x"), DeliveryMode.NON_PERSISTENT, 4, 0);
      return p.receive(p.queue()).getJMSDeliveryMode();
    });
    t.add("set on the message is ignored", DeliveryMode.PERSISTENT, p -> {
      Message m = p.text("x");
      m.setJMSDeliveryMode(DeliveryMode.NON_PERSISTENT);
      return p.trip(m).getJMSDeliveryMode();
    });
    t.add("must be one of two", "IllegalStateException", p -> Peer.thrown(() -> p.auto().createProducer(p.queue()).setDeliveryMode(7)));

    t.in("3.4.3 JMSMessageID");
    t.add("begins with ID:", true, p -> p.trip(p.text("x")).getJMSMessageID().startsWith("ID:"));
    t.add("is the sender's", true, p -> {
      Message m = p.text("x");
      p.send(p.queue(), m);
      return m.getJMSMessageID().equals(p.receive(p.queue()).getJMSMessageID());
    });
    t.add("differs for each send", 3, p -> {
      Set<String> ids = new HashSet<>();
      Message m = p.text("x");
      for (int i = 0; i < 3; i++) {
        p.send(p.queue(), m);
        ids.add(m.getJMSMessageID());
      }
      return ids.size();
    });
    t.add("set on the message is replaced", false, p -> {
      Message m = p.text("x");
      m.setJMSMessageID("ID:mine");
      return p.trip(m).getJMSMessageID().equals("ID:mine");
    });
    t.add("of a message sent on is new", true, p -> {
      Message m = p.trip(p.text("x"));
      String before = m.getJMSMessageID();
      return !p.trip(m).getJMSMessageID().equals(before);
    });

    t.in("3.4.4 JMSTimestamp");
    t.add("is the time of the send", true, p -> {
      long before = System.currentTimeMillis();
      long at = p.trip(p.text("x")).getJMSTimestamp();
      return before <= at && at <= System.currentTimeMillis();
    });
    t.add("set on the message is replaced", true, p -> {
      Message m = p.text("x");
      m.setJMSTimestamp(5);
      return p.trip(m).getJMSTimestamp() > 5;
    });
    t.add("is 0 if disabled", 0, p -> {
      MessageProducer producer = p.auto().createProducer(p.queue());
      producer.setDisableMessageTimestamp(true);
      producer.send(p.text("x"));
      return p.receive(p.queue()).getJMSTimestamp();
    });

    t.in("3.4.5 JMSCorrelationID");
    t.add("is the client's", "any text \u20ac", p -> {
      Message m = p.text("x");
      m.setJMSCorrelationID("any text \u20ac");
      return p.trip(m).getJMSCorrelationID();
    });
    t.add("as bytes", "c-7", p -> {
      Message m = p.text("x");
      m.setJMSCorrelationIDAsBytes("c-7".getBytes("UTF-8"));
      return new String(p.trip(m).getJMSCorrelationIDAsBytes(), "UTF-8");
    });
    t.add("is null if not set", null, p -> p.trip(p.text("x")).getJMSCorrelationID());
    t.add("empty is none", null, p -> {
      Message m = p.text("x");
      m.setJMSCorrelationID("");
      return p.trip(m).getJMSCorrelationID();
    }).classic("", "An empty text is kept as none: it correlates with nothing.");

    t.in("3.4.6 JMSReplyTo");
    t.add("is null if not set", null, p -> p.trip(p.text("x")).getJMSReplyTo());
    t.add("a queue", true, p -> replyTo(p, p.queue("r")));
    t.add("a topic", true, p -> replyTo(p, p.topic("r")));
    t.add("a temporary queue", true, p -> replyTo(p, p.auto().createTemporaryQueue()));
    t.add("a temporary topic", true, p -> replyTo(p, p.auto().createTemporaryTopic()));

    t.in("3.4.7 JMSRedelivered");
    t.add("is false at first", false, p -> p.trip(p.text("x")).getJMSRedelivered());
    t.add("set on the message is ignored", false, p -> {
      Message m = p.text("x");
      m.setJMSRedelivered(true);
      return p.trip(m).getJMSRedelivered();
    });
    t.add("is true after a rollback", true, p -> {
      p.send(p.queue(), "x");
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      Peer.receive(consumer);
      session.rollback();
      return Peer.receive(consumer).getJMSRedelivered();
    });
    t.add("of a message sent on is false", false, p -> {
      p.send(p.queue(), "x");
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      Peer.receive(consumer);
      session.rollback();
      Message m = Peer.receive(consumer);
      session.createProducer(p.queue("b")).send(m);
      session.commit();
      return p.receive(p.queue("b")).getJMSRedelivered();
    });

    t.in("3.4.8 JMSType");
    t.add("is the client's", "order", p -> {
      Message m = p.text("x");
      m.setJMSType("order");
      return p.trip(m).getJMSType();
    });
    t.add("is null if not set", null, p -> p.trip(p.text("x")).getJMSType());

    t.in("3.4.9 JMSExpiration");
    t.add("is 0 by default", 0, p -> p.trip(p.text("x")).getJMSExpiration());
    t.add("is the time of the send and the time to live", 600_000, p -> {
      MessageProducer producer = p.auto().createProducer(p.queue());
      producer.setTimeToLive(600_000);
      producer.send(p.text("x"));
      Message m = p.receive(p.queue());
      return m.getJMSExpiration() - m.getJMSTimestamp();
    });
    t.add("set on the message is replaced", 0, p -> {
      Message m = p.text("x");
      m.setJMSExpiration(5);
      return p.trip(m).getJMSExpiration();
    });
    t.add("a message past it is not received", "after", p -> {
      p.auto().createProducer(p.queue()).send(p.text("old"), DeliveryMode.PERSISTENT, 4, 1);
      Message m = p.text("after");
      for (long sent = System.currentTimeMillis(); System.currentTimeMillis() <= sent + 1; ) {
        Thread.onSpinWait();
      }
      return Peer.show(p.trip(m));
    });
    t.add("a message past it on a durable subscription is not received", "after", p -> {
      Session session = Peer.auto(p.client("c"));
      session.createDurableSubscriber(p.topic(), "s").close();
      session.createProducer(p.topic()).send(p.text("old"), DeliveryMode.PERSISTENT, 4, 1);
      for (long sent = System.currentTimeMillis(); System.currentTimeMillis() <= sent + 1; ) {
        Thread.onSpinWait();
      }
      p.send(p.topic(), "after");
      return Peer.show(Peer.receive(session.createDurableSubscriber(p.topic(), "s")));
    });

    t.in("3.4.10 JMSPriority");
    t.add("is 4 by default", 4, p -> p.trip(p.text("x")).getJMSPriority());
    t.add("of the producer", 9, p -> {
      MessageProducer producer = p.auto().createProducer(p.queue());
      producer.setPriority(9);
      producer.send(p.text("x"));
      return p.receive(p.queue()).getJMSPriority();
    });
    t.add("set on the message is replaced", 4, p -> {
      Message m = p.text("x");
      m.setJMSPriority(8);
      return p.trip(m).getJMSPriority();
    });
    t.add("is 0 to 9", "IllegalStateException", p -> {
      MessageProducer producer = p.auto().createProducer(p.queue());
      return Peer.thrown(() -> producer.setPriority(10), () -> producer.setPriority(-1));
    });
    t.add("the higher comes first", "9 7 4a 4b 0", p -> {
      MessageProducer producer = p.auto().createProducer(p.queue());
      for (String text : new String[] {"0", "4a", "9", "4b", "7"}) {
        producer.send(p.text(text), DeliveryMode.PERSISTENT, text.charAt(0) - '0', 0);
      }
      return Peer.take(p.consumer(p.queue()), 5);
    }).classic("0 4a 9 4b 7", "Priorities hold without configuration; ActiveMQ's queues need prioritizedMessages.");

    t.in("3.4.11 How header values are set");
    t.add("send leaves them on the sender's message", true, p -> {
      Message m = p.text("x");
      p.auto().createProducer(p.queue()).send(m, DeliveryMode.NON_PERSISTENT, 7, 60_000);
      return m.getJMSDestination().equals(p.queue()) && m.getJMSDeliveryMode() == DeliveryMode.NON_PERSISTENT && m.getJMSPriority() == 7
          && m.getJMSExpiration() == m.getJMSTimestamp() + 60_000 && m.getJMSMessageID().startsWith("ID:");
    });

    t.in("3.9 Access to sent messages");
    t.add("a change after the send does not reach the receiver", "first second", p -> {
      TextMessage m = p.text("first");
      p.send(p.queue(), m);
      m.setText("second");
      p.send(p.queue(), m);
      return Peer.take(p.consumer(p.queue()), 2);
    });
    t.add("sender's properties stay writeable", "2", p -> {
      TextMessage m = p.text("x");
      m.setIntProperty("n", 1);
      p.send(p.queue(), m);
      m.setIntProperty("n", 2);
      return m.getStringProperty("n");
    });

    t.in("3.10 Changing the value of a received message");
    t.add("its properties are read-only", "MessageNotWriteableException", p -> {
      Message m = p.trip(p.text("x"));
      return Peer.thrown(() -> m.setIntProperty("n", 1));
    });
    t.add("its body is read-only", "MessageNotWriteableException", p -> {
      TextMessage m = (TextMessage) p.trip(p.text("x"));
      return Peer.thrown(() -> m.setText("y"));
    });
    t.add("cleared properties can be set, and the body stays", "x 1", p -> {
      TextMessage m = (TextMessage) p.trip(p.text("x"));
      m.clearProperties();
      m.setIntProperty("n", 1);
      return m.getText() + " " + m.getIntProperty("n");
    });
    t.add("a cleared body can be set, and the properties stay", "y 1", p -> {
      TextMessage sent = p.text("x");
      sent.setIntProperty("n", 1);
      TextMessage m = (TextMessage) p.trip(sent);
      m.clearBody();
      m.setText("y");
      return m.getText() + " " + m.getIntProperty("n");
    });
    t.add("it can be sent on, changed", "y!no 2", p -> {
      TextMessage m = (TextMessage) p.trip(p.text("x"));
      m.clearBody();
      m.setText("y!no");
      m.clearProperties();
      m.setIntProperty("n", 2);
      m = (TextMessage) p.trip(m);
      return m.getText() + " " + m.getIntProperty("n");
    });
    t.add("headers of a received message can be set", "c", p -> {
      Message m = p.trip(p.text("x"));
      m.setJMSCorrelationID("c");
      return p.trip(m).getJMSCorrelationID();
    });

    t.in("3.12 Message implementations of others");
    t.add("a foreign message is sent as its own kind", "foreign n=7 type=order c", p -> {
      TextMessage foreign = foreign(Map.of("n", 7), "foreign", "order", "c");
      p.send(p.queue(), foreign);
      TextMessage m = (TextMessage) p.receive(p.queue());
      return m.getText() + " n=" + m.getIntProperty("n") + " type=" + m.getJMSType() + " " + m.getJMSCorrelationID();
    });
  }

  private static boolean replyTo(Peer p, Destination to) throws Exception {
    Message m = p.text("x");
    m.setJMSReplyTo(to);
    return p.trip(m).getJMSReplyTo().equals(to);
  }

  /** A message of another provider: it knows what it was given, remembers what is set, and has nothing else. */
  private static TextMessage foreign(Map<String, Object> properties, String text, String type, String correlation) {
    Map<String, Object> set = new HashMap<>(Map.of("Text", text, "JMSType", type, "JMSCorrelationID", correlation));
    return (TextMessage) Proxy.newProxyInstance(Headers.class.getClassLoader(), new Class<?>[] {TextMessage.class}, (proxy, method, args) -> {
      String name = method.getName();
      if (name.equals("getPropertyNames")) {
        return Collections.enumeration(properties.keySet());
      }
      if (name.equals("getObjectProperty")) {
        return properties.get(args[0]);
      }
      if (name.startsWith("set") && args.length == 1) {
        set.put(name.substring(3), args[0]);
        return null;
      }
      Object value = name.startsWith("get") ? set.get(name.substring(3)) : null;
      Class<?> returns = method.getReturnType();
      return value != null ? value : returns == int.class ? (Object) 0 : returns == long.class ? (Object) 0L : returns == boolean.class ? false : null;
    });
  }
}
