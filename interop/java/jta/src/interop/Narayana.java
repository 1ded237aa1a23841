package interop;

import com.arjuna.ats.arjuna.common.CoreEnvironmentBeanException;
import com.arjuna.ats.arjuna.common.ObjectStoreEnvironmentBean;
import com.arjuna.ats.arjuna.common.arjPropertyManager;
import com.arjuna.ats.arjuna.common.recoveryPropertyManager;
import com.arjuna.ats.arjuna.recovery.RecoveryManager;
import com.arjuna.ats.internal.arjuna.recovery.AtomicActionRecoveryModule;
import com.arjuna.ats.internal.jta.recovery.arjunacore.JTANodeNameXAResourceOrphanFilter;
import com.arjuna.ats.internal.jta.recovery.arjunacore.JTATransactionLogXAResourceOrphanFilter;
import com.arjuna.ats.internal.jta.recovery.arjunacore.XARecoveryModule;
import com.arjuna.ats.jta.common.jtaPropertyManager;
import com.arjuna.ats.jta.recovery.XAResourceRecoveryHelper;
import com.arjuna.common.internal.util.propertyservice.BeanPopulator;
import jakarta.jms.ConnectionFactory;
import java.util.List;
import java.util.concurrent.Callable;
import javax.transaction.xa.XAResource;
import org.apache.activemq.ActiveMQXAConnection;
import org.apache.activemq.ActiveMQXAConnectionFactory;
import org.messaginghub.pooled.jms.JmsPoolXAConnectionFactory;
import org.springframework.transaction.jta.JtaTransactionManager;

/** Narayana, with pooled-jms. */
final class Narayana implements Coordinator {
  private static final String NODE = "godwit";

  private final JtaTransactionManager jta;

  Narayana(String dir) throws CoreEnvironmentBeanException {
    arjPropertyManager.getCoreEnvironmentBean().setNodeIdentifier(NODE);
    BeanPopulator.getDefaultInstance(ObjectStoreEnvironmentBean.class).setObjectStoreDir(dir);
    for (String store : List.of("stateStore", "communicationStore")) {
      BeanPopulator.getNamedInstance(ObjectStoreEnvironmentBean.class, store).setObjectStoreDir(dir);
    }
    jtaPropertyManager.getJTAEnvironmentBean().setXaRecoveryNodes(List.of(NODE));
    jta = new JtaTransactionManager(com.arjuna.ats.jta.UserTransaction.userTransaction(), com.arjuna.ats.jta.TransactionManager.transactionManager());
  }

  @Override
  public JtaTransactionManager jta() {
    return jta;
  }

  @Override
  public ConnectionFactory pool(String url) {
    JmsPoolXAConnectionFactory pool = new JmsPoolXAConnectionFactory();
    pool.setConnectionFactory(new ActiveMQXAConnectionFactory(url));
    pool.setTransactionManager(jta.getTransactionManager());
    pool.setMaxConnections(2);
    return pool;
  }

  @Override
  public void announce(Participant participant) {}

  @Override
  public void recover(List<String> urls, Callable<Boolean> done) throws Exception {
    var recovery = recoveryPropertyManager.getRecoveryEnvironmentBean();
    recovery.setRecoveryModuleClassNames(List.of(AtomicActionRecoveryModule.class.getName(), XARecoveryModule.class.getName()));
    recovery.setRecoveryBackoffPeriod(1);
    recovery.setRecoveryListener(false);
    jtaPropertyManager.getJTAEnvironmentBean().setOrphanSafetyInterval(0);
    jtaPropertyManager.getJTAEnvironmentBean().setXaResourceOrphanFilterClassNames(
        List.of(JTATransactionLogXAResourceOrphanFilter.class.getName(), JTANodeNameXAResourceOrphanFilter.class.getName()));
    RecoveryManager manager = RecoveryManager.manager(RecoveryManager.DIRECT_MANAGEMENT);
    manager.initialize();
    for (var module : manager.getModules()) {
      if (module instanceof XARecoveryModule xa) {
        urls.forEach(url -> xa.addXAResourceRecoveryHelper(new Helper(url)));
      }
    }
    for (int i = 0; i < 5 && !done.call(); i++) {
      manager.scan();
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
}
