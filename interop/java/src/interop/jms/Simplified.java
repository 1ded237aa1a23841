package interop.jms;

import jakarta.jms.Connection;
import jakarta.jms.DeliveryMode;
import jakarta.jms.JMSConsumer;
import jakarta.jms.JMSContext;
import jakarta.jms.JMSProducer;
import jakarta.jms.Message;
import jakarta.jms.TextMessage;
import java.util.Map;

/** Section 2.8: the simplified API, as far as ActiveMQ's client has it. */
final class Simplified {
  static void addTo(Table t) {
    t.inSimplified("2.8 Simplified API");
    t.add("send and receive", "x", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      c.createProducer().send(p.queue(), "x");
      return c.createConsumer(p.queue()).receive(Peer.SOON).getBody(String.class);
    }));
    t.add("a map and bytes", "{a=1} 3", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      c.createProducer().send(p.queue(), Map.of("a", 1)).send(p.queue(), new byte[3]);
      JMSConsumer consumer = c.createConsumer(p.queue());
      return consumer.receive(Peer.SOON).getBody(Map.class) + " " + consumer.receive(Peer.SOON).getBody(byte[].class).length;
    }));
    t.add("the consumer starts the connection", "x", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      p.send(p.queue(), "x");
      return Peer.show(c.createConsumer(p.queue()).receive(Peer.SOON));
    }));
    t.add("unless autoStart is off", "null x", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      c.setAutoStart(false);
      p.send(p.queue(), "x");
      JMSConsumer consumer = c.createConsumer(p.queue());
      Message early = consumer.receive(20);
      c.start();
      return early + " " + Peer.show(consumer.receive(Peer.SOON));
    }));
    t.add("transacted: commit", "|x", p -> with(p, JMSContext.SESSION_TRANSACTED, c -> {
      c.createProducer().send(p.queue(), "x");
      String before = Peer.browse(p.auto(), p.queue(), null);
      c.commit();
      return before + "|" + p.left(p.queue());
    }));
    t.add("transacted: rollback", "x x!", p -> with(p, JMSContext.SESSION_TRANSACTED, c -> {
      p.send(p.queue(), "x");
      JMSConsumer consumer = c.createConsumer(p.queue());
      String got = Peer.show(consumer.receive(Peer.SOON));
      c.rollback();
      return got + " " + Peer.show(consumer.receive(Peer.SOON));
    }));
    t.add("client acknowledge by the context", "", p -> {
      with(p, JMSContext.CLIENT_ACKNOWLEDGE, c -> {
        p.send(p.queue(), "x");
        c.createConsumer(p.queue()).receive(Peer.SOON);
        c.acknowledge();
        return null;
      });
      return p.left(p.queue());
    });
    t.add("recover", "x x!", p -> with(p, JMSContext.CLIENT_ACKNOWLEDGE, c -> {
      p.send(p.queue(), "x");
      JMSConsumer consumer = c.createConsumer(p.queue());
      String got = Peer.show(consumer.receive(Peer.SOON));
      c.recover();
      return got + " " + Peer.show(consumer.receive(Peer.SOON));
    }));
    t.add("close returns what was not acknowledged", "x!", p -> {
      with(p, JMSContext.CLIENT_ACKNOWLEDGE, c -> {
        p.send(p.queue(), "x");
        return Peer.show(c.createConsumer(p.queue()).receive(Peer.SOON));
      });
      return p.left(p.queue());
    });
    t.add("use after close", "IllegalStateRuntimeException", p -> {
      JMSContext c = Peer.factory("").createContext();
      c.close();
      return Peer.thrown(() -> c.createTextMessage());
    });
    t.add("commit outside", "IllegalStateRuntimeException", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> Peer.thrown(() -> c.commit())));
    t.add("a context of a context", "x", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      try (JMSContext other = c.createContext(JMSContext.SESSION_TRANSACTED)) {
        other.createProducer().send(p.queue(), "x");
        other.commit();
      }
      return Peer.show(c.createConsumer(p.queue()).receive(Peer.SOON));
    }));
    t.add("a wrong password", "JMSSecurityRuntimeException", p -> Peer.thrown(() -> {
      try (JMSContext c = Peer.factory("").createContext(Lives.USER, "wrong")) {
        c.start();
      }
    }));
    t.add("a client id in use", "InvalidClientIDRuntimeException", p -> {
      p.client("c");
      return with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> Peer.thrown(() -> {
        c.setClientID(p.name + ".c");
        c.start();
      }));
    });
    t.add("an invalid selector", "InvalidSelectorRuntimeException", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> Peer.thrown(() -> c.createConsumer(p.queue(), "n ="))));
    t.add("a null destination", "InvalidDestinationRuntimeException", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> Peer.thrown(() -> c.createConsumer(null))));
    t.add("a durable consumer", "1 2", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      c.setClientID(p.name);
      c.createDurableConsumer(p.topic(), "s").close();
      p.send(p.topic(), "1", "2");
      JMSConsumer consumer = c.createDurableConsumer(p.topic(), "s");
      String got = Peer.show(consumer.receive(Peer.SOON)) + " " + Peer.show(consumer.receive(Peer.SOON));
      consumer.close();
      c.unsubscribe("s");
      return got;
    }));
    t.add("a browser", "x", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      p.send(p.queue(), "x");
      return Peer.show((Message) c.createBrowser(p.queue()).getEnumeration().nextElement());
    }));
    t.add("a temporary queue", "x", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      jakarta.jms.Queue temporary = c.createTemporaryQueue();
      JMSConsumer consumer = c.createConsumer(temporary);
      p.send(temporary, "x");
      return Peer.show(consumer.receive(Peer.SOON));
    }));
    t.add("a listener", "x", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      var got = new java.util.concurrent.LinkedBlockingQueue<String>();
      c.createConsumer(p.queue()).setMessageListener(m -> Peer.thrown(() -> got.add(Peer.show(m))));
      p.send(p.queue(), "x");
      return Peer.await(got);
    }));
    t.add("receiveBody is not in the client", "UnsupportedOperationException",
        p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> Peer.thrown(() -> c.createConsumer(p.queue()).receiveBody(String.class, 1))));
    t.add("shared consumers are not in the client", "UnsupportedOperationException",
        p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> Peer.thrown(() -> c.createSharedConsumer(p.topic(), "s"), () -> c.createSharedDurableConsumer(p.topic(), "s"))));

    t.inSimplified("7.5 JMSProducer");
    t.add("properties, headers and options", "1 two order c 7 1 true", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      JMSProducer producer = c.createProducer();
      producer.setProperty("a", 1).setProperty("b", "two").setJMSType("order").setJMSCorrelationID("c").setPriority(7).setDeliveryMode(DeliveryMode.NON_PERSISTENT)
          .setTimeToLive(60_000).send(p.queue(), "x");
      Message m = c.createConsumer(p.queue()).receive(Peer.SOON);
      return m.getIntProperty("a") + " " + m.getStringProperty("b") + " " + m.getJMSType() + " " + m.getJMSCorrelationID() + " " + m.getJMSPriority() + " " + m.getJMSDeliveryMode() + " "
          + (m.getJMSExpiration() == m.getJMSTimestamp() + 60_000);
    }));
    t.add("its properties replace the message's", "producer", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      TextMessage m = c.createTextMessage("x");
      m.setStringProperty("p", "message");
      c.createProducer().setProperty("p", "producer").send(p.queue(), m);
      return c.createConsumer(p.queue()).receive(Peer.SOON).getStringProperty("p");
    }));
    t.add("cleared properties", false, p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      c.createProducer().setProperty("p", 1).clearProperties().send(p.queue(), "x");
      return c.createConsumer(p.queue()).receive(Peer.SOON).propertyExists("p");
    }));
    t.add("replyTo", true, p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> {
      c.createProducer().setJMSReplyTo(p.queue("r")).send(p.queue(), "x");
      return c.createConsumer(p.queue()).receive(Peer.SOON).getJMSReplyTo().equals(p.queue("r"));
    }));
    t.add("null for a message", "MessageFormatRuntimeException", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> Peer.thrown(() -> c.createProducer().send(p.queue(), (Message) null))));
    t.add("delivery delay is not in the client", "UnsupportedOperationException", p -> with(p, JMSContext.AUTO_ACKNOWLEDGE, c -> Peer.thrown(() -> c.createProducer().setDeliveryDelay(5))));

  }

  private interface InContext {
    Object run(JMSContext context) throws Exception;
  }

  private static Object with(Peer p, int mode, InContext body) throws Exception {
    Connection first = p.connection(); // the case's own, for what it does beside the context
    first.start();
    try (JMSContext context = Peer.factory("").createContext(mode)) {
      return body.run(context);
    }
  }
}
