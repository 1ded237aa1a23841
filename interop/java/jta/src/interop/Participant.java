package interop;

import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;

/** A participant in distributed transactions that has no work, only something to do when it is told to prepare or to commit. */
final class Participant implements XAResource {
  interface Step {
    void run() throws Exception;
  }

  private final Step whenPrepared;
  private final Step whenCommitted;

  Participant(Step whenPrepared, Step whenCommitted) {
    this.whenPrepared = whenPrepared;
    this.whenCommitted = whenCommitted;
  }

  @Override
  public int prepare(Xid xid) throws XAException {
    play(whenPrepared);
    return XA_OK;
  }

  @Override
  public void commit(Xid xid, boolean onePhase) throws XAException {
    play(whenCommitted);
  }

  private static void play(Step step) throws XAException {
    try {
      step.run();
    } catch (Exception e) {
      e.printStackTrace();
      throw new XAException(XAException.XAER_RMERR);
    }
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
