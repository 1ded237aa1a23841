package interop;

import jakarta.jms.ConnectionFactory;
import java.util.List;
import java.util.concurrent.Callable;
import org.springframework.transaction.jta.JtaTransactionManager;

/** A transaction manager as a product has it: what differs from one to the next. */
interface Coordinator {
  /** How long the transaction may take, in seconds, that recover is to commit. */
  int DECIDED_SECONDS = 4;

  JtaTransactionManager jta();

  /** A pool of connections to a broker, whose sessions take part in the manager's transactions. */
  ConnectionFactory pool(String url);

  /** Makes a participant known before it is enlisted. */
  void announce(Participant participant);

  /** Recovers what it finds in its log and at the brokers, until done says so or patience is over. */
  void recover(List<String> urls, Callable<Boolean> done) throws Exception;
}
