package interop;

import jakarta.jms.ConnectionFactory;
import jakarta.jms.JMSException;
import jakarta.jms.MessageListener;
import jakarta.jms.TextMessage;
import jakarta.transaction.RollbackException;
import jakarta.transaction.SystemException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import javax.transaction.xa.XAResource;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.ActiveMQXAConnection;
import org.apache.activemq.ActiveMQXAConnectionFactory;
import org.springframework.jms.core.JmsTemplate;
import org.springframework.jms.listener.DefaultMessageListenerContainer;
import org.springframework.transaction.jta.JtaTransactionManager;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * A transaction manager over two brokers, INTEROP_OPENWIRE and INTEROP_OPENWIRE2: {@code Main work DIR MANAGER} moves messages from the one to the other in distributed
 * transactions, with Spring's template and listener container; {@code survive} has the brokers die and come back between prepare and commit; {@code die} leaves prepared
 * transactions, and {@code recover} recovers what that left. DIR is for the manager's log.
 */
public final class Main {
  static final String ONE = System.getenv("INTEROP_OPENWIRE");
  static final String TWO = System.getenv("INTEROP_OPENWIRE2");
  static final String FAILOVER = "failover:(%s)?initialReconnectDelay=20&maxReconnectDelay=200";

  final Coordinator coordinator;
  final JtaTransactionManager jta;
  final Map<String, ConnectionFactory> pools = new HashMap<>();

  Main(Coordinator coordinator) {
    this.coordinator = coordinator;
    this.jta = coordinator.jta();
    jta.afterPropertiesSet();
  }

  public static void main(String[] args) throws Exception {
    Coordinator coordinator = switch (args[2]) {
      case "narayana" -> new Narayana(args[1]);
      case "atomikos" -> new Atomikos(args[1]);
      default -> throw new IllegalArgumentException(args[2]);
    };
    Main main = new Main(coordinator);
    switch (args[0]) {
      case "work" -> {
        main.attempt("spring-template-two-brokers", main::template);
        main.attempt("spring-rollback", main::rollback);
        main.attempt("spring-listener-two-brokers", () -> main.listener(TWO));
        main.attempt("spring-listener-one-broker", () -> main.listener(ONE));
        main.attempt("nothing-prepared", () -> equal("prepared", prepared(ONE) + prepared(TWO), 0));
      }
      case "die" -> main.attempt("die", main::die);
      case "survive" -> main.attempt("survive", main::survive);
      case "recover" -> main.attempt("recover", main::recover);
      default -> throw new IllegalArgumentException(args[0]);
    }
    System.out.println("done");
    System.exit(0);
  }

  interface Scenario {
    void run() throws Exception;
  }

  private void attempt(String name, Scenario scenario) {
    try {
      scenario.run();
      System.out.println("ok " + name);
    } catch (Throwable e) {
      e.printStackTrace();
      System.out.println("FAIL " + name + " " + e);
    }
  }

  static void equal(String what, Object got, Object want) {
    if (!got.equals(want)) {
      throw new AssertionError(what + ": got " + got + ", want " + want);
    }
  }

  /** A factory whose sessions take part in the manager's transactions. */
  private ConnectionFactory pool(String url) {
    return pools.computeIfAbsent(url, coordinator::pool);
  }

  private static JmsTemplate outside(String url) {
    JmsTemplate template = new JmsTemplate(new ActiveMQConnectionFactory(url));
    template.setReceiveTimeout(TimeUnit.SECONDS.toMillis(20));
    return template;
  }

  /** Takes what a queue holds, up to a message that is sent now. */
  private static List<String> take(String url, String queue) throws JMSException {
    JmsTemplate template = outside(url);
    template.convertAndSend(queue, "end");
    List<String> texts = new ArrayList<>();
    while (template.receive(queue) instanceof TextMessage message) {
      if (message.getText().equals("end")) {
        return texts;
      }
      texts.add(message.getText());
    }
    throw new AssertionError("no message in time from " + queue);
  }

  /** Sends to both brokers in one transaction, and moves from one to the other in the next. */
  private void template() throws Exception {
    JmsTemplate one = new JmsTemplate(pool(ONE));
    JmsTemplate two = new JmsTemplate(pool(TWO));
    TransactionTemplate tx = new TransactionTemplate(jta);
    for (int i = 0; i < 10; i++) {
      String text = Integer.toString(i);
      tx.executeWithoutResult(status -> {
        one.convertAndSend("jta.a", text);
        two.convertAndSend("jta.a", text);
      });
    }
    one.setReceiveTimeout(5000);
    for (int i = 0; i < 10; i++) {
      tx.executeWithoutResult(status -> two.convertAndSend("jta.b", one.receiveAndConvert("jta.a")));
    }
    equal("left at one", take(ONE, "jta.a").size(), 0);
    equal("at two", take(TWO, "jta.a").size(), 10);
    equal("moved", take(TWO, "jta.b"), List.of("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"));
  }

  private void rollback() throws Exception {
    JmsTemplate one = new JmsTemplate(pool(ONE));
    JmsTemplate two = new JmsTemplate(pool(TWO));
    new TransactionTemplate(jta).executeWithoutResult(status -> {
      one.convertAndSend("jta.r", "x");
      two.convertAndSend("jta.r", "x");
      status.setRollbackOnly();
    });
    equal("after a rollback", take(ONE, "jta.r").size() + take(TWO, "jta.r").size(), 0);
  }

  /** A listener container that receives in the manager's transaction and sends on; the first delivery of every third message fails. */
  private void listener(String to) throws Exception {
    int n = 30;
    String in = "jta.in." + (to.equals(ONE) ? 1 : 2);
    String out = "jta.out." + (to.equals(ONE) ? 1 : 2);
    JmsTemplate fill = outside(ONE);
    for (int i = 0; i < n; i++) {
      fill.convertAndSend(in, Integer.toString(i));
    }
    JmsTemplate send = new JmsTemplate(pool(to));
    CountDownLatch handled = new CountDownLatch(n);
    Set<String> failed = ConcurrentHashMap.newKeySet();
    DefaultMessageListenerContainer container = new DefaultMessageListenerContainer();
    container.setConnectionFactory(pool(ONE));
    container.setTransactionManager(jta);
    container.setSessionTransacted(true);
    container.setConcurrentConsumers(2);
    container.setDestinationName(in);
    container.setReceiveTimeout(500);
    container.setErrorHandler(e -> {});
    container.setMessageListener((MessageListener) message -> {
      try {
        String text = ((TextMessage) message).getText();
        send.convertAndSend(out, text);
        if (Integer.parseInt(text) % 3 == 0 && failed.add(text)) {
          throw new IllegalStateException("planned");
        }
        handled.countDown();
      } catch (JMSException e) {
        throw new IllegalStateException(e);
      }
    });
    container.afterPropertiesSet();
    container.start();
    boolean all = handled.await(20, TimeUnit.SECONDS);
    container.shutdown();
    equal("all handled", all, true);
    equal("failed once", failed.size(), 10);
    List<String> texts = take(to, out);
    equal("sent on", texts.size(), n);
    equal("different", new TreeSet<>(texts).size(), n);
    equal("left", take(ONE, in).size(), 0);
  }

  /**
   * Leaves two transactions that both brokers have prepared. One is undecided: its last participant does not answer whether it is prepared. The other is decided, and its
   * first participant takes the process with it when it is told to commit.
   */
  private void die() throws Exception {
    CountDownLatch asked = new CountDownLatch(1);
    Thread undecided = new Thread(() -> leave("undecided", 60, null, new Participant(() -> {
      asked.countDown();
      Thread.currentThread().join();
    }, () -> {})));
    undecided.setDaemon(true);
    undecided.start();
    equal("both prepared", asked.await(20, TimeUnit.SECONDS), true);
    leave("decided", Coordinator.DECIDED_SECONDS, new Participant(() -> {}, () -> {
      waitForWord();
      System.out.println("ok die");
      System.out.println("done");
      System.out.flush();
      Runtime.getRuntime().halt(0);
    }), null);
    throw new AssertionError("still alive");
  }

  /** The brokers die between prepare and commit, and come back: the manager, which lives, must bring them to commit. */
  private void survive() throws Exception {
    leave("survived", 60, new Participant(() -> {}, Main::waitForWord), null);
    equal("taken at one", take(ONE, "jta.survived.in").size(), 0);
    for (String url : List.of(ONE, TWO)) {
      equal("sent to " + url, take(url, "jta.survived.out"), List.of("0"));
    }
    equal("prepared", prepared(ONE) + prepared(TWO), 0);
  }

  /** One message taken at one broker and sent to both, in a transaction with a first or last participant of ours. */
  private void leave(String name, int seconds, Participant first, Participant last) {
    JmsTemplate one = new JmsTemplate(pool(FAILOVER.formatted(ONE)));
    JmsTemplate two = new JmsTemplate(pool(FAILOVER.formatted(TWO)));
    String in = "jta." + name + ".in";
    String out = "jta." + name + ".out";
    outside(ONE).convertAndSend(in, "0");
    one.setReceiveTimeout(5000);
    TransactionTemplate tx = new TransactionTemplate(jta);
    tx.setTimeout(seconds);
    tx.executeWithoutResult(status -> {
      enlist(first);
      two.convertAndSend(out, one.receiveAndConvert(in));
      one.convertAndSend(out, "0");
      enlist(last);
    });
  }

  private void enlist(Participant participant) {
    if (participant == null) {
      return;
    }
    try {
      coordinator.announce(participant);
      jta.getTransactionManager().getTransaction().enlistResource(participant);
    } catch (RollbackException | SystemException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Tells the test that both brokers are prepared, and waits for what it does with them. */
  private static void waitForWord() throws IOException {
    System.out.println("note prepared");
    System.out.flush();
    new BufferedReader(new InputStreamReader(System.in)).readLine();
  }

  /** Brokers and manager have died and been started again: what was decided is committed, the rest rolled back. */
  private void recover() throws Exception {
    equal("prepared at one", prepared(ONE), 2);
    equal("prepared at two", prepared(TWO), 2);
    for (String name : List.of("decided", "undecided")) {
      equal(name, take(ONE, "jta." + name + ".in").size() + take(ONE, "jta." + name + ".out").size() + take(TWO, "jta." + name + ".out").size(), 0);
    }
    coordinator.recover(List.of(ONE, TWO), () -> prepared(ONE) + prepared(TWO) == 0);
    equal("prepared after recovery", prepared(ONE) + prepared(TWO), 0);
    equal("taken at one", take(ONE, "jta.decided.in").size(), 0);
    equal("sent to one", take(ONE, "jta.decided.out"), List.of("0"));
    equal("sent to two", take(TWO, "jta.decided.out"), List.of("0"));
    equal("given back at one", take(ONE, "jta.undecided.in"), List.of("0"));
    equal("not sent", take(ONE, "jta.undecided.out").size() + take(TWO, "jta.undecided.out").size(), 0);
  }

  static int prepared(String url) throws Exception {
    ActiveMQXAConnection connection = (ActiveMQXAConnection) new ActiveMQXAConnectionFactory(url).createXAConnection();
    try {
      return connection.createXASession().getXAResource().recover(XAResource.TMSTARTRSCAN | XAResource.TMENDRSCAN).length;
    } finally {
      connection.close();
    }
  }
}
