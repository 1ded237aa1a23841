package interop;

import jakarta.jms.BytesMessage;
import jakarta.jms.DeliveryMode;
import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.MapMessage;
import jakarta.jms.Message;
import jakarta.jms.MessageProducer;
import jakarta.jms.ObjectMessage;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.StreamMessage;
import jakarta.jms.TextMessage;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import org.apache.activemq.ActiveMQConnectionFactory;

/** Every kind of message, header and property arrives as it was sent. */
final class Bodies {
  /** The client's own reading of map values and properties knows no character above U+FFFF. */
  static final String PLANE_0 = "gr\u00fc\u00dfe \u2603 \u65e5\u672c\u8a9e";
  static final String UNICODE = "gr\u00fc\u00dfe \u2603 \ud83c\udca1 \u65e5\u672c\u8a9e";

  static void addTo(Suite suite) {
    suite.add("text", Bodies::text);
    suite.add("bytes", Bodies::bytes);
    suite.add("map", Bodies::map);
    suite.add("stream", Bodies::stream);
    suite.add("object", Bodies::object);
    suite.add("no-body", Bodies::noBody);
    suite.add("compressed", Bodies::compressed);
    suite.add("properties", Bodies::properties);
    suite.add("headers", Bodies::headers);
    suite.add("group-properties", Bodies::groupProperties);
  }

  static void text() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("text"));
      for (String text : new String[] {"hello", "", null, UNICODE, "\0 and \ud800 alone", "x".repeat(100_000)}) {
        client.send(queue, client.session.createTextMessage(text));
        Check.equal("text", Client.text(client.receiveOne(queue)), text);
      }
    }
  }

  static void bytes() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("bytes"));
      for (int size : new int[] {0, 1, 256, 100_000}) {
        byte[] body = pattern(size);
        BytesMessage sent = client.session.createBytesMessage();
        sent.writeBytes(body);
        client.send(queue, sent);
        Check.equal("body", body((BytesMessage) client.receiveOne(queue)), body);
      }
    }
  }

  static byte[] pattern(int size) {
    byte[] body = new byte[size];
    for (int i = 0; i < size; i++) {
      body[i] = (byte) (i + i / 256);
    }
    return body;
  }

  static byte[] body(BytesMessage message) throws JMSException {
    byte[] body = new byte[(int) message.getBodyLength()];
    message.readBytes(body);
    return body;
  }

  static void map() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("map"));
      MapMessage sent = client.session.createMapMessage();
      sent.setBoolean("boolean", true);
      sent.setByte("byte", (byte) -7);
      sent.setShort("short", (short) -30_000);
      sent.setChar("char", '\u2603');
      sent.setInt("int", Integer.MIN_VALUE);
      sent.setLong("long", Long.MAX_VALUE);
      sent.setFloat("float", 1.5f);
      sent.setDouble("double", -2.25e100);
      sent.setString("string", PLANE_0);
      sent.setBytes("bytes", pattern(300));
      sent.setObject("null", null);
      client.send(queue, sent);
      MapMessage got = (MapMessage) client.receiveOne(queue);
      Check.equal("names", new TreeSet<>(Collections.list(got.getMapNames())), new TreeSet<>(Collections.list(sent.getMapNames())));
      for (Object name : Collections.list(sent.getMapNames())) {
        Check.equal(name.toString(), got.getObject(name.toString()), sent.getObject(name.toString()));
      }
    }
  }

  static void stream() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("stream"));
      Object[] values = {true, (byte) 3, (short) 4, 'c', 5, 6L, 7.5f, 8.5, PLANE_0, null, pattern(70)};
      StreamMessage sent = client.session.createStreamMessage();
      for (Object value : values) {
        sent.writeObject(value);
      }
      client.send(queue, sent);
      StreamMessage got = (StreamMessage) client.receiveOne(queue);
      for (int i = 0; i < values.length; i++) {
        Check.equal("value " + i, got.readObject(), values[i]);
      }
    }
  }

  static void object() throws Exception {
    ActiveMQConnectionFactory factory = Env.factory("");
    factory.setTrustedPackages(List.of("java.lang", "java.util"));
    try (Client client = new Client(factory, Session.AUTO_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(Env.name("object"));
      java.util.ArrayList<Object> value = new java.util.ArrayList<>(List.of("a", 1, 2.5));
      client.send(queue, client.session.createObjectMessage(value));
      Check.equal("object", ((ObjectMessage) client.receiveOne(queue)).getObject(), value);
    }
  }

  static void noBody() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("no-body"));
      Message sent = client.session.createMessage();
      sent.setStringProperty("only", "a property");
      client.send(queue, sent);
      Message got = client.receiveOne(queue);
      Check.equal("property", got.getStringProperty("only"), "a property");
      Check.that("got a body: " + got, !(got instanceof TextMessage) && !(got instanceof BytesMessage));
    }
  }

  static void compressed() throws Exception {
    try (Client client = new Client(Env.factory("jms.useCompression=true"), Session.AUTO_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(Env.name("compressed"));
      String text = UNICODE.repeat(1000);
      BytesMessage bytes = client.session.createBytesMessage();
      bytes.writeBytes(pattern(10_000));
      client.send(queue, client.session.createTextMessage(text), bytes);
      Check.equal("text", Client.text(client.receiveOne(queue)), text);
      Check.equal("bytes", body((BytesMessage) client.receiveOne(queue)), pattern(10_000));
    }
  }

  static void properties() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("properties"));
      Object[] values = {true, (byte) -1, (short) 2, 3, Long.MIN_VALUE, 1.25f, 1e300, PLANE_0, "", "x".repeat(20_000)};
      TextMessage sent = client.session.createTextMessage("body");
      for (int i = 0; i < values.length; i++) {
        sent.setObjectProperty("p" + i, values[i]);
      }
      client.send(queue, sent);
      Message got = client.receiveOne(queue);
      for (int i = 0; i < values.length; i++) {
        Check.equal("p" + i, got.getObjectProperty("p" + i), values[i]);
      }
      Check.equal("delivery count", got.getIntProperty("JMSXDeliveryCount"), 1);
    }
  }

  static void headers() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("headers"));
      Destination reply = client.session.createTopic("some.topic");
      TextMessage sent = client.session.createTextMessage("body");
      sent.setJMSCorrelationID("correlation " + UNICODE);
      sent.setJMSType("type");
      sent.setJMSReplyTo(reply);
      MessageProducer producer = client.session.createProducer(queue);
      long before = System.currentTimeMillis();
      producer.send(sent, DeliveryMode.NON_PERSISTENT, 7, 60_000);
      Message got = client.receiveOne(queue);
      Check.equal("message id", got.getJMSMessageID(), sent.getJMSMessageID());
      Check.equal("correlation id", got.getJMSCorrelationID(), sent.getJMSCorrelationID());
      Check.equal("type", got.getJMSType(), "type");
      Check.equal("reply-to", got.getJMSReplyTo(), reply);
      Check.equal("destination", got.getJMSDestination(), queue);
      Check.equal("delivery mode", got.getJMSDeliveryMode(), DeliveryMode.NON_PERSISTENT);
      Check.equal("priority", got.getJMSPriority(), 7);
      Check.equal("timestamp", got.getJMSTimestamp(), sent.getJMSTimestamp());
      Check.equal("expiration", got.getJMSExpiration(), sent.getJMSExpiration());
      Check.that("expiration " + got.getJMSExpiration() + " is before " + (before + 60_000), got.getJMSExpiration() >= before + 60_000);
      Check.equal("redelivered", got.getJMSRedelivered(), false);
    }
  }

  static void groupProperties() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("group"));
      TextMessage sent = client.session.createTextMessage("body");
      sent.setStringProperty("JMSXGroupID", "g1");
      sent.setIntProperty("JMSXGroupSeq", 3);
      client.send(queue, sent);
      Message got = client.receiveOne(queue);
      Check.equal("JMSXGroupID", got.getStringProperty("JMSXGroupID"), "g1");
      Check.equal("JMSXGroupSeq", got.getIntProperty("JMSXGroupSeq"), 3);
    }
  }
}
