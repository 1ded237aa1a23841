"""Takes orders from the queue and answers each. Needs stomp.py; nothing in it knows of Godwit but the port."""
import sys
import time

import stomp

port = int(sys.argv[1]) if len(sys.argv) > 1 else 61614


class Service(stomp.ConnectionListener):
    def on_message(self, frame):
        print("order", frame.body, "of", frame.headers["customer"], flush=True)
        if "reply-to" in frame.headers:
            connection.send(frame.headers["reply-to"], "confirmed: " + frame.body)
        connection.ack(frame.headers["ack"])


# Without content-length a body is text to JMS clients, as with ActiveMQ; with it, bytes.
connection = stomp.Connection12([("127.0.0.1", port)], auto_content_length=False)
connection.set_listener("", Service())
connection.connect(wait=True)
connection.subscribe("/queue/orders", id="1", ack="client-individual", headers={"selector": "customer LIKE 'C-%'"})
print("waiting for orders; Ctrl-C ends", flush=True)
time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 3600)
connection.disconnect()
