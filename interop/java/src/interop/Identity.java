package interop;

import jakarta.jms.Connection;
import jakarta.jms.JMSException;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.activemq.ActiveMQConnectionFactory;

/**
 * Logs in for a test that asks line by line: {@code ACTION <tab> USER <tab> PASSWORD <tab> QUEUE}. ACTION is login, send, receive, or hold, which waits for
 * the connection's end. Each is answered with a line: ok, closed, or what was refused.
 */
public final class Identity {
  public static void main(String[] args) throws Exception {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = lines.readLine()) != null; ) {
      String answer;
      try {
        answer = act(line.split("\t", -1));
      } catch (JMSException e) {
        answer = "refused: " + e.getMessage();
      }
      System.out.println(answer.replace('\n', ' '));
    }
    System.exit(0);
  }

  private static String act(String[] ask) throws JMSException {
    ActiveMQConnectionFactory factory = System.getenv("INTEROP_TLS") == null ? new ActiveMQConnectionFactory(Env.URL) : new org.apache.activemq.ActiveMQSslConnectionFactory(Env.URL);
    factory.setWatchTopicAdvisories(false);
    Connection connection = ask[1].isEmpty() && ask[2].isEmpty() ? factory.createConnection() : factory.createConnection(ask[1], ask[2]);
    try {
      CountDownLatch gone = new CountDownLatch(1);
      connection.setExceptionListener(e -> gone.countDown());
      connection.start();
      Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
      switch (ask[0]) {
        case "send" -> {
          Queue queue = session.createQueue(ask[3]);
          session.createProducer(queue).send(session.createTextMessage("x"));
        }
        case "receive" -> {
          MessageConsumer consumer = session.createConsumer(session.createQueue(ask[3]));
          if (consumer.receive(10_000) == null) {
            return "nothing";
          }
        }
        case "hold" -> {
          try {
            return gone.await(60, TimeUnit.SECONDS) ? "closed" : "still there";
          } catch (InterruptedException e) {
            return "interrupted";
          }
        }
        default -> { }
      }
      return "ok";
    } finally {
      try {
        connection.close();
      } catch (JMSException e) {
        // it is gone already
      }
    }
  }
}
