package interop;

import jakarta.jms.BytesMessage;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.TextMessage;

/** Messages go round through the libraries of all languages: INTEROP_FROM and INTEROP_TO are queue names. */
final class Ring {
  static final String TEXT = Bodies.UNICODE;

  static void first() throws Exception {
    try (Client client = Client.auto()) {
      TextMessage text = client.session.createTextMessage(TEXT);
      BytesMessage bytes = client.session.createBytesMessage();
      bytes.writeBytes(Bodies.pattern(256));
      for (Message message : new Message[] {text, bytes}) {
        message.setStringProperty("color", "bl\u00fc \\ a:b");
        message.setIntProperty("count", 42);
        message.setBooleanProperty("flag", true);
        message.setDoubleProperty("price", 2.5);
        message.setJMSCorrelationID("correlation-1");
        message.setJMSType("ring");
        client.send(client.session.createQueue(Env.need("INTEROP_TO")), message);
      }
    }
  }

  /** What STOMP clients sent: the kind is kept, every property is a string. */
  static void last() throws Exception {
    try (Client client = Client.auto()) {
      MessageConsumer consumer = client.session.createConsumer(client.session.createQueue(Env.need("INTEROP_FROM")));
      Message text = Client.receive(consumer);
      Message bytes = Client.receive(consumer);
      Check.equal("text", Client.text(text), TEXT);
      Check.that("got " + bytes + ", want a BytesMessage", bytes instanceof BytesMessage);
      Check.equal("bytes", Bodies.body((BytesMessage) bytes), Bodies.pattern(256));
      for (Message message : new Message[] {text, bytes}) {
        Check.equal("color", message.getStringProperty("color"), "bl\u00fc \\ a:b");
        Check.equal("count", message.getIntProperty("count"), 42);
        Check.equal("flag", message.getBooleanProperty("flag"), true);
        Check.equal("price", message.getDoubleProperty("price"), 2.5);
        Check.equal("correlation id", message.getJMSCorrelationID(), "correlation-1");
        Check.equal("type", message.getJMSType(), "ring");
        Check.equal("delivery mode", message.getJMSDeliveryMode(), jakarta.jms.DeliveryMode.PERSISTENT);
      }
    }
  }
}
