package interop.jms;

import jakarta.jms.BytesMessage;
import jakarta.jms.Connection;
import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.MapMessage;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.ObjectMessage;
import jakarta.jms.Queue;
import jakarta.jms.QueueBrowser;
import jakarta.jms.Session;
import jakarta.jms.StreamMessage;
import jakarta.jms.TextMessage;
import jakarta.jms.Topic;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.activemq.ActiveMQConnectionFactory;

/** What one case has: connections that end with it, destinations of its own, and the few things that every case does with them. */
final class Peer implements AutoCloseable {
  /** How long something that must come is waited for, ms. */
  static final long SOON = 10_000;
  /** The text of the message that is sent to see that nothing is before it. */
  static final String END = "END";

  interface Call {
    void run() throws Exception;
  }

  private static final String URL = System.getenv("INTEROP_OPENWIRE");
  final String name;
  private final List<Connection> connections = Collections.synchronizedList(new ArrayList<>());
  private Connection connection;
  private Session auto;

  Peer(String name) {
    this.name = System.getenv("INTEROP_RUN") + "." + name;
  }

  @Override
  public void close() {
    for (Connection c : connections) {
      try {
        c.close();
      } catch (JMSException e) {
        System.err.println(name + ": close: " + e);
      }
    }
  }

  // Connections and sessions

  /** A factory whose connections redeliver at once; options is a query such as {@code jms.useCompression=true}. */
  static ActiveMQConnectionFactory factory(String options) {
    ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(options.isEmpty() ? URL : URL + "?" + options);
    factory.getRedeliveryPolicy().setInitialRedeliveryDelay(0);
    factory.getRedeliveryPolicy().setRedeliveryDelay(0);
    return factory;
  }

  /** A started connection that ends with the case. */
  Connection connect(String options) throws JMSException {
    Connection c = unstarted(options);
    c.start();
    return c;
  }

  Connection unstarted(String options) throws JMSException {
    return keep(factory(options).createConnection());
  }

  Connection keep(Connection c) {
    connections.add(c);
    return c;
  }

  /** A started connection with a client id of the case's own. */
  Connection client(String id) throws JMSException {
    return connect("jms.clientID=" + name + "." + id);
  }

  /** The case's first connection, started. */
  Connection connection() throws JMSException {
    if (connection == null) {
      connection = connect("");
    }
    return connection;
  }

  /** The first connection's session with automatic acknowledgement. */
  Session auto() throws JMSException {
    if (auto == null) {
      auto = connection().createSession(false, Session.AUTO_ACKNOWLEDGE);
    }
    return auto;
  }

  Session session(int mode) throws JMSException {
    return session(connection(), mode);
  }

  static Session session(Connection c, int mode) throws JMSException {
    return c.createSession(mode == Session.SESSION_TRANSACTED, mode);
  }

  static Session auto(Connection c) throws JMSException {
    return session(c, Session.AUTO_ACKNOWLEDGE);
  }

  Session transacted() throws JMSException {
    return session(Session.SESSION_TRANSACTED);
  }

  // Destinations

  Queue queue() throws JMSException {
    return queue("q");
  }

  Queue queue(String part) throws JMSException {
    return auto().createQueue(name + "." + part);
  }

  Topic topic() throws JMSException {
    return topic("t");
  }

  Topic topic(String part) throws JMSException {
    return auto().createTopic(name + "." + part);
  }

  // Sending

  void send(Destination to, String... texts) throws JMSException {
    send(auto(), to, texts);
  }

  static void send(Session session, Destination to, String... texts) throws JMSException {
    MessageProducer producer = session.createProducer(to);
    for (String text : texts) {
      producer.send(session.createTextMessage(text));
    }
    producer.close();
  }

  void send(Destination to, Message message) throws JMSException {
    MessageProducer producer = auto().createProducer(to);
    producer.send(message);
    producer.close();
  }

  TextMessage text(String text) throws JMSException {
    return auto().createTextMessage(text);
  }

  /** Sends a message to the case's queue and takes it from there. */
  Message trip(Message message) throws JMSException {
    send(queue(), message);
    return receive(queue());
  }

  // Receiving

  MessageConsumer consumer(Destination from) throws JMSException {
    return auto().createConsumer(from);
  }

  Message receive(Destination from) throws JMSException {
    MessageConsumer consumer = auto().createConsumer(from);
    Message message = receive(consumer);
    consumer.close();
    return message;
  }

  static Message receive(MessageConsumer consumer) throws JMSException {
    Message message = consumer.receive(SOON);
    if (message == null) {
      throw new AssertionError("no message within " + SOON + " ms");
    }
    return message;
  }

  /** What the next count messages are, with a space between them. */
  static String take(MessageConsumer consumer, int count) throws JMSException {
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      texts.add(show(receive(consumer)));
    }
    return String.join(" ", texts);
  }

  /** What comes before the end that is sent now. */
  String rest(Session sender, Destination to, MessageConsumer consumer) throws JMSException {
    send(sender, to, END);
    return untilEnd(consumer);
  }

  String rest(Destination to, MessageConsumer consumer) throws JMSException {
    return rest(auto(), to, consumer);
  }

  static String untilEnd(MessageConsumer consumer) throws JMSException {
    List<String> texts = new ArrayList<>();
    for (String text = show(receive(consumer)); !text.startsWith(END); text = show(receive(consumer))) {
      texts.add(text);
    }
    return String.join(" ", texts);
  }

  /** All that a queue has for a new client; it is taken. Before, what the case's connections have said is processed. */
  String left(Queue queue) throws JMSException {
    for (Connection c : List.copyOf(connections)) {
      settle(c);
    }
    Connection other = connect("");
    Session session = auto(other);
    MessageConsumer consumer = session.createConsumer(queue);
    String left = rest(session, queue, consumer);
    other.close();
    return left;
  }

  /** Waits until the broker has done all that a connection has said so far. */
  static void settle(Connection c) throws JMSException {
    try {
      Session session = auto(c);
      session.createProducer(session.createQueue("settle")).close();
      session.close();
    } catch (jakarta.jms.IllegalStateException closed) {
      return;
    }
  }

  /** A text, or what else the message is; "!" marks a redelivery. */
  static String show(Message message) throws JMSException {
    String mark = message.getJMSRedelivered() ? "!" : "";
    return message instanceof TextMessage text ? text.getText() + mark : kind(message) + mark;
  }

  static String kind(Message message) {
    return message instanceof TextMessage ? "TextMessage"
        : message instanceof BytesMessage ? "BytesMessage"
            : message instanceof MapMessage ? "MapMessage"
                : message instanceof ObjectMessage ? "ObjectMessage" : message instanceof StreamMessage ? "StreamMessage" : "Message";
  }

  /** What a browser shows. */
  static String browse(Session session, Queue queue, String selector) throws JMSException {
    QueueBrowser browser = session.createBrowser(queue, selector);
    List<String> texts = new ArrayList<>();
    for (Object message : Collections.list(browser.getEnumeration())) {
      texts.add(show((Message) message));
    }
    browser.close();
    return String.join(" ", texts);
  }

  /** The simple name of what a call throws, "-" for nothing. Of ActiveMQ's own exceptions it is the one of JMS or Java that they extend. */
  static String thrown(Call call) {
    try {
      call.run();
      return "-";
    } catch (Exception e) {
      Class<?> type = e.getClass();
      while (!type.getName().startsWith("java") && !type.getName().startsWith("jakarta.jms.")) {
        type = type.getSuperclass();
      }
      return type.getSimpleName();
    }
  }

  /** The names of what several calls throw, or the one name if all throw the same. */
  static String thrown(Call... calls) {
    List<String> names = new ArrayList<>();
    for (Call call : calls) {
      names.add(thrown(call));
    }
    return names.stream().distinct().count() == 1 ? names.get(0) : String.join(" ", names);
  }

  /** Waits for something that another thread brings about. */
  static <T> T await(java.util.concurrent.BlockingQueue<T> queue) throws InterruptedException {
    T got = queue.poll(SOON, java.util.concurrent.TimeUnit.MILLISECONDS);
    if (got == null) {
      throw new AssertionError("nothing within " + SOON + " ms");
    }
    return got;
  }
}
