import java.io.File;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.activemq.broker.BrokerPlugin;
import org.apache.activemq.broker.BrokerService;
import org.apache.activemq.broker.region.policy.PolicyEntry;
import org.apache.activemq.broker.region.policy.PolicyMap;
import org.apache.activemq.plugin.StatisticsBrokerPlugin;
import org.apache.activemq.security.AuthenticationUser;
import org.apache.activemq.security.SimpleAuthenticationPlugin;
import org.apache.activemq.store.kahadb.KahaDBPersistenceAdapter;

/**
 * A broker in the foreground: {@code ActiveMQ DATA USER:PASSWORD|?USER:PASSWORD|- NAME=CONNECTOR-URI...}; behind a question mark the account
 * is checked if credentials are sent, and who sends none is let in. It differs from the shipped configuration where Godwit promises more:
 * priorities are kept by the queue, expiry is looked for often and, with -DpersistRedelivered=true, a redelivery is known after a crash.
 * With -Dshipped=true it does not.
 */
public final class ActiveMQ {
  public static void main(String[] args) throws Exception {
    BrokerService broker = new BrokerService();
    broker.setBrokerName("localhost");
    broker.setUseJmx(true); // from which the statistics plugin has what it tells of subscriptions
    broker.getManagementContext().setCreateConnector(false);
    broker.setDataDirectoryFile(new File(args[0]));
    KahaDBPersistenceAdapter store = new KahaDBPersistenceAdapter();
    store.setDirectory(new File(args[0], "kahadb"));
    broker.setPersistenceAdapter(store);
    if (!Boolean.getBoolean("shipped")) {
      broker.setDestinationPolicy(policies());
    }
    if (Boolean.getBoolean("routes")) {
      broker.setDestinationInterceptors(Routes.all());
    }
    broker.setSchedulerSupport(Boolean.getBoolean("shipped")); // what Godwit has is compared too
    List<BrokerPlugin> plugins = new ArrayList<>(List.of(new StatisticsBrokerPlugin()));
    if (!args[1].equals("-")) {
      String[] user = args[1].replace("?", "").split(":");
      SimpleAuthenticationPlugin plugin = new SimpleAuthenticationPlugin(List.of(new AuthenticationUser(user[0], user[1], "users")));
      plugin.setAnonymousAccessAllowed(args[1].startsWith("?"));
      plugins.add(plugin);
    }
    broker.setPlugins(plugins.toArray(new BrokerPlugin[0]));
    for (String connector : Arrays.asList(args).subList(2, args.length)) {
      String[] parts = connector.split("=", 2);
      broker.addConnector(parts[1]).setName(parts[0]);
    }
    broker.start();
    broker.waitUntilStopped();
  }

  private static PolicyMap policies() {
    PolicyEntry all = new PolicyEntry();
    all.setPrioritizedMessages(true);
    all.setPersistJMSRedelivered(Boolean.getBoolean("persistRedelivered")); // no friend of temporary queues in 6.3.1
    all.setExpireMessagesPeriod(500);
    all.setSendAdvisoryIfNoConsumers(true);
    PolicyMap map = new PolicyMap();
    map.setDefaultEntry(all);
    return map;
  }
}
