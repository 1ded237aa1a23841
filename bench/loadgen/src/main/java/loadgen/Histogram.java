package loadgen;

/** Log-linear histogram of microseconds: 128 steps per power of two (under 1 % error). */
final class Histogram {
    private final long[] counts = new long[64 * 128];
    private long n;
    private long max;

    void add(long nanos) {
        long us = Math.max(0, nanos / 1000);
        counts[index(us)]++;
        n++;
        if (us > max) {
            max = us;
        }
    }

    void add(Histogram o) {
        for (int i = 0; i < counts.length; i++) {
            counts[i] += o.counts[i];
        }
        n += o.n;
        max = Math.max(max, o.max);
    }

    private static int index(long v) {
        if (v < 256) {
            return (int) v;
        }
        int shift = 63 - Long.numberOfLeadingZeros(v) - 7;
        return (shift << 7) + (int) (v >> shift);
    }

    private static long value(int i) {
        if (i < 256) {
            return i;
        }
        int shift = (i >> 7) - 1;
        return ((long) (i - (shift << 7))) << shift;
    }

    long quantile(double q) {
        long want = Math.max(1, (long) Math.ceil(q * n));
        long seen = 0;
        for (int i = 0; i < counts.length; i++) {
            seen += counts[i];
            if (seen >= want) {
                return value(i);
            }
        }
        return max;
    }

    String json() {
        if (n == 0) {
            return "null";
        }
        return "{\"p50\":" + quantile(.5) + ",\"p99\":" + quantile(.99) + ",\"p999\":" + quantile(.999)
                + ",\"max\":" + max + "}";
    }
}
