package interop;

import com.arjuna.ats.arjuna.common.CoreEnvironmentBeanException;
import com.arjuna.ats.arjuna.common.arjPropertyManager;
import com.arjuna.ats.arjuna.common.recoveryPropertyManager;
import com.arjuna.ats.arjuna.recovery.RecoveryManager;
import com.arjuna.ats.internal.arjuna.recovery.AtomicActionRecoveryModule;
import com.arjuna.ats.internal.jta.recovery.arjunacore.XARecoveryModule;
import com.arjuna.ats.jta.common.jtaPropertyManager;
import com.arjuna.ats.jta.recovery.XAResourceRecoveryHelper;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageListener;
import jakarta.jms.TextMessage;
import jakarta.transaction.TransactionManager;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.ActiveMQXAConnection;
import org.apache.activemq.ActiveMQXAConnectionFactory;
import org.messaginghub.pooled.jms.JmsPoolXAConnectionFactory;
import org.springframework.jms.core.JmsTemplate;
import org.springframework.jms.listener.DefaultMessageListenerContainer;
import org.springframework.transaction.jta.JtaTransactionManager;
import org.springframework.transaction.support.TransactionTemplate;

/**
 * A transaction manager over two brokers, INTEROP_OPENWIRE and INTEROP_OPENWIRE2: {@code Main work DIR} moves messages from the one to the other in distributed
 * transactions, with Spring's template and listener container; {@code Main die DIR} prepares one on both, decides, and dies before it can tell; {@code Main recover
 * DIR} recovers what that left.
 */
public final class Main {
  static final String ONE = System.getenv("INTEROP_OPENWIRE");
  static final String TWO = System.getenv("INTEROP_OPENWIRE2");

  final JtaTransactionManager jta;
  final List<JmsPoolXAConnectionFactory> pools = new ArrayList<>();

  Main(String dir) throws CoreEnvironmentBeanException {
    arjPropertyManager.getCoreEnvironmentBean().setNodeIdentifier("godwit");
    for (String store : new String[] {"", "stateStore", "communicationStore"}) {
      var bean = store.isEmpty()
          ? com.arjuna.common.internal.util.propertyservice.BeanPopulator.getDefaultInstance(com.arjuna.ats.arjuna.common.ObjectStoreEnvironmentBean.class)
          : com.arjuna.common.internal.util.propertyservice.BeanPopulator.getNamedInstance(com.arjuna.ats.arjuna.common.ObjectStoreEnvironmentBean.class, store);
      bean.setObjectStoreDir(dir);
    }
    jtaPropertyManager.getJTAEnvironmentBean().setXaRecoveryNodes(List.of("godwit"));
    TransactionManager manager = com.arjuna.ats.jta.TransactionManager.transactionManager();
    jta = new JtaTransactionManager(com.arjuna.ats.jta.UserTransaction.userTransaction(), manager);
    jta.afterPropertiesSet();
  }

  public static void main(String[] args) throws Exception {
    Main main = new Main(args[1]);
    switch (args[0]) {
      case "work" -> {
        main.attempt("spring-template-two-brokers", main::template);
        main.attempt("spring-rollback", main::rollback);
        main.attempt("spring-listener-two-brokers", () -> main.listener(TWO));
        main.attempt("spring-listener-one-broker", () -> main.listener(ONE));
        main.attempt("nothing-prepared", () -> equal("prepared", prepared(ONE) + prepared(TWO), 0));
      }
      case "die" -> main.die();
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
  private JmsPoolXAConnectionFactory pool(String url) {
    JmsPoolXAConnectionFactory pool = new JmsPoolXAConnectionFactory();
    pool.setConnectionFactory(new ActiveMQXAConnectionFactory(url));
    pool.setTransactionManager(jta.getTransactionManager());
    pool.setMaxConnections(2);
    pools.add(pool);
    return pool;
  }

  private static JmsTemplate outside(String url) {
    JmsTemplate template = new JmsTemplate(new ActiveMQConnectionFactory(url));
    template.setReceiveTimeout(500);
    return template;
  }

  private static List<String> take(String url, String queue) throws JMSException {
    List<String> texts = new ArrayList<>();
    JmsTemplate template = outside(url);
    for (Message m = template.receive(queue); m != null; m = template.receive(queue)) {
      texts.add(((TextMessage) m).getText());
    }
    return texts;
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

  /** Dies between the prepares and the commits: a third participant, which commits first, takes the process with it. */
  private void die() throws Exception {
    JmsTemplate one = new JmsTemplate(pool(ONE));
    JmsTemplate two = new JmsTemplate(pool(TWO));
    outside(ONE).convertAndSend("jta.die.in", "0");
    new TransactionTemplate(jta).executeWithoutResult(status -> {
      try {
        jta.getTransactionManager().getTransaction().enlistResource(new Killer());
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
      one.setReceiveTimeout(5000);
      two.convertAndSend("jta.die.out", one.receiveAndConvert("jta.die.in"));
      one.convertAndSend("jta.die.out", "0");
    });
    throw new AssertionError("still alive");
  }

  /** Waits for the brokers to be killed and started again, then lets the manager find what it has decided. */
  private void recover() throws Exception {
    equal("prepared at one", prepared(ONE), 1);
    equal("prepared at two", prepared(TWO), 1);
    equal("seen", take(ONE, "jta.die.in").size() + take(ONE, "jta.die.out").size() + take(TWO, "jta.die.out").size(), 0);
    recoveryPropertyManager.getRecoveryEnvironmentBean().setRecoveryModuleClassNames(
        List.of(AtomicActionRecoveryModule.class.getName(), XARecoveryModule.class.getName()));
    recoveryPropertyManager.getRecoveryEnvironmentBean().setRecoveryBackoffPeriod(1);
    recoveryPropertyManager.getRecoveryEnvironmentBean().setRecoveryListener(false);
    jtaPropertyManager.getJTAEnvironmentBean().setXaResourceOrphanFilterClassNames(
        List.of("com.arjuna.ats.internal.jta.recovery.arjunacore.JTATransactionLogXAResourceOrphanFilter"));
    RecoveryManager manager = RecoveryManager.manager(RecoveryManager.DIRECT_MANAGEMENT);
    manager.initialize();
    for (var module : manager.getModules()) {
      if (module instanceof XARecoveryModule xa) {
        xa.addXAResourceRecoveryHelper(new Helper(ONE));
        xa.addXAResourceRecoveryHelper(new Helper(TWO));
      }
    }
    for (int i = 0; i < 5 && prepared(ONE) + prepared(TWO) > 0; i++) {
      manager.scan();
    }
    equal("prepared after recovery", prepared(ONE) + prepared(TWO), 0);
    equal("taken at one", take(ONE, "jta.die.in").size(), 0);
    equal("sent to one", take(ONE, "jta.die.out"), List.of("0"));
    equal("sent to two", take(TWO, "jta.die.out"), List.of("0"));
  }

  static int prepared(String url) throws Exception {
    ActiveMQXAConnection connection = (ActiveMQXAConnection) new ActiveMQXAConnectionFactory(url).createXAConnection();
    try {
      return connection.createXASession().getXAResource().recover(XAResource.TMSTARTRSCAN | XAResource.TMENDRSCAN).length;
    } finally {
      connection.close();
    }
  }

  /** Where recovery looks for prepared branches. */
  private record Helper(String url) implements XAResourceRecoveryHelper {
    @Override
    public boolean initialise(String parameter) {
      return true;
    }

    @Override
    public XAResource[] getXAResources() throws Exception {
      ActiveMQXAConnection connection = (ActiveMQXAConnection) new ActiveMQXAConnectionFactory(url).createXAConnection();
      connection.start();
      return new XAResource[] {connection.createXASession().getXAResource()};
    }
  }

  /** A participant that prepares, and when it is to commit first says so and waits for its end. */
  private static final class Killer implements XAResource {
    @Override
    public void commit(Xid xid, boolean onePhase) throws XAException {
      System.out.println("note prepared");
      System.out.flush();
      try {
        new BufferedReader(new InputStreamReader(System.in)).readLine();
      } catch (java.io.IOException e) {
        throw new IllegalStateException(e);
      }
      Runtime.getRuntime().halt(9);
    }

    @Override
    public int prepare(Xid xid) {
      return XA_OK;
    }

    @Override
    public void start(Xid xid, int flags) {}

    @Override
    public void end(Xid xid, int flags) {}

    @Override
    public void rollback(Xid xid) {}

    @Override
    public void forget(Xid xid) {}

    @Override
    public Xid[] recover(int flag) {
      return new Xid[0];
    }

    @Override
    public boolean isSameRM(XAResource other) {
      return other == this;
    }

    @Override
    public int getTransactionTimeout() {
      return 0;
    }

    @Override
    public boolean setTransactionTimeout(int seconds) {
      return false;
    }
  }
}
