package interop;

import com.atomikos.datasource.xa.XATransactionalResource;
import com.atomikos.icatch.config.Configuration;
import com.atomikos.icatch.jta.UserTransactionManager;
import com.atomikos.jms.AtomikosConnectionFactoryBean;
import jakarta.jms.ConnectionFactory;
import jakarta.transaction.SystemException;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import javax.transaction.xa.XAResource;
import org.apache.activemq.ActiveMQXAConnectionFactory;
import org.springframework.transaction.jta.JtaTransactionManager;

/** Atomikos, with its own pool. */
final class Atomikos implements Coordinator {
  private static final Logger LOG = Logger.getLogger("com.atomikos");

  private final UserTransactionManager manager = new UserTransactionManager();

  Atomikos(String dir) throws SystemException {
    LOG.setLevel(Level.WARNING);
    set("log_base_dir", dir);
    set("tm_unique_name", "godwit");
    set("default_jta_timeout", "60000");
    set("oltp_retry_interval", "200"); // milliseconds from one commit that could not be delivered to the next
    manager.setForceShutdown(true);
  }

  private static void set(String name, String value) {
    System.setProperty("com.atomikos.icatch." + name, value);
  }

  @Override
  public JtaTransactionManager jta() {
    return new JtaTransactionManager(manager, manager);
  }

  @Override
  public ConnectionFactory pool(String url) {
    AtomikosConnectionFactoryBean pool = new AtomikosConnectionFactoryBean();
    pool.setUniqueResourceName(url.replaceAll(".*//|\\).*", "")); // host and port: 45 characters are the most
    pool.setXaConnectionFactory(new ActiveMQXAConnectionFactory(url));
    pool.setPoolSize(5);
    return pool;
  }

  @Override
  public void announce(Participant participant) {
    Configuration.addResource(new XATransactionalResource(participant.toString()) {
      @Override
      protected XAResource refreshXAConnection() {
        return participant;
      }
    });
  }

  @Override
  public void recover(List<String> urls, Callable<Boolean> done) throws Exception {
    // It waits until what it had decided has timed out, and before it gives up what it finds prepared and nowhere decided, for the longest time a transaction may take.
    set("default_jta_timeout", Integer.toString(DECIDED_SECONDS * 1000));
    set("max_timeout", Integer.toString(DECIDED_SECONDS * 1000));
    set("recovery_delay", "200");
    // All resources before recovery begins: it forgets a decision when those that it knows have been told.
    for (String url : urls) {
      ((AtomikosConnectionFactoryBean) pool(url)).init();
    }
    manager.init();
    long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (!done.call() && System.nanoTime() < until) {
      Thread.sleep(50); // recovery is a timer of its own
    }
  }
}
