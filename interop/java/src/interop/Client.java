package interop;

import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.ArrayList;
import java.util.List;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;

/** A started connection with one session, and the few things that every scenario does with them. */
final class Client implements AutoCloseable {
  /** How long a message that must come is waited for. */
  static final long SOON = 10_000;
  /** How long one that must not come is waited for. */
  static final long NOTHING = 250;

  final ActiveMQConnection connection;
  final Session session;

  Client(ActiveMQConnectionFactory factory, int mode) throws JMSException {
    connection = (ActiveMQConnection) factory.createConnection();
    boolean ready = false;
    try {
      session = connection.createSession(mode == Session.SESSION_TRANSACTED, mode);
      connection.start();
      ready = true;
    } finally {
      if (!ready) {
        connection.close();
      }
    }
  }

  static Client auto() throws JMSException {
    return mode(Session.AUTO_ACKNOWLEDGE);
  }

  static Client mode(int mode) throws JMSException {
    return new Client(Env.factory(""), mode);
  }

  static Client transacted() throws JMSException {
    return mode(Session.SESSION_TRANSACTED);
  }

  @Override
  public void close() throws JMSException {
    connection.close();
  }

  void send(Destination to, Message... messages) throws JMSException {
    MessageProducer producer = session.createProducer(to);
    for (Message message : messages) {
      producer.send(message);
    }
    producer.close();
  }

  /** Sends the numbers from..to-1 as texts. */
  void sendNumbers(Destination to, int from, int until) throws JMSException {
    MessageProducer producer = session.createProducer(to);
    for (int i = from; i < until; i++) {
      producer.send(session.createTextMessage(Integer.toString(i)));
    }
    producer.close();
  }

  Message receiveOne(Destination from) throws JMSException {
    MessageConsumer consumer = session.createConsumer(from);
    try {
      return receive(consumer);
    } finally {
      consumer.close();
    }
  }

  static Message receive(MessageConsumer consumer) throws JMSException {
    Message message = consumer.receive(SOON);
    Check.that("no message within " + SOON + " ms", message != null);
    return message;
  }

  static String text(Message message) throws JMSException {
    Check.that("got " + message + ", want a TextMessage", message instanceof TextMessage);
    return ((TextMessage) message).getText();
  }

  static List<String> texts(MessageConsumer consumer, int count) throws JMSException {
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      texts.add(text(receive(consumer)));
    }
    return texts;
  }

  static void nothing(MessageConsumer consumer) throws JMSException {
    Message message = consumer.receive(NOTHING);
    Check.that("a message came that should not: " + message, message == null);
  }

  /** The numbers from..until-1 as texts. */
  static List<String> numbers(int from, int until) {
    List<String> numbers = new ArrayList<>();
    for (int i = from; i < until; i++) {
      numbers.add(Integer.toString(i));
    }
    return numbers;
  }
}
