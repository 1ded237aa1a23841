package loadgen;

import jakarta.jms.JMSException;
import java.nio.ByteBuffer;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;

/** The distributed transactions of one producer, one after the other, in two phases. */
final class Branch {
    private final XAResource resource;
    private final int producer;
    private long number;
    private Xid current;

    Branch(XAResource resource, int producer) {
        this.resource = resource;
        this.producer = producer;
    }

    private record Id(byte[] global, byte[] branch) implements Xid {
        @Override
        public int getFormatId() {
            return 1;
        }

        @Override
        public byte[] getGlobalTransactionId() {
            return global;
        }

        @Override
        public byte[] getBranchQualifier() {
            return branch;
        }
    }

    void begin() throws JMSException {
        // As long as those of transaction managers.
        byte[] global = ByteBuffer.allocate(32).putLong(ProcessHandle.current().pid()).putLong(System.nanoTime()).putInt(producer).putLong(number++).array();
        current = new Id(global, ByteBuffer.allocate(32).putInt(producer).array());
        call(() -> resource.start(current, XAResource.TMNOFLAGS));
    }

    void prepareAndCommit() throws JMSException {
        call(() -> {
            resource.end(current, XAResource.TMSUCCESS);
            if (resource.prepare(current) != XAResource.XA_OK) {
                throw new XAException("a branch with messages counts as read only");
            }
            resource.commit(current, false);
        });
    }

    private interface Step {
        void run() throws XAException;
    }

    private static void call(Step step) throws JMSException {
        try {
            step.run();
        } catch (XAException e) {
            JMSException failed = new JMSException("XA error " + e.errorCode);
            failed.initCause(e);
            throw failed;
        }
    }
}
