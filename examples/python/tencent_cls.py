"""A metric topic of Tencent Cloud CLS by remote write, with the SecretId and SecretKey of an account that may write
to it (cls:MetricsRemoteWrite).

CLS_HOST=ap-guangzhou.cls.tencentcs.com CLS_TOPIC=… CLS_SECRET_ID=… CLS_SECRET_KEY=… python tencent_cls.py
[CLS_CA_FILE=ca.pem for a proxy with a certificate of its own]
"""

import os
import sys

import promwrite

options = {
    # By name: the key is in no pickle of the writer and is read again after a 401.
    "basic_auth.username_env": "CLS_SECRET_ID",
    "basic_auth.password_env": "CLS_SECRET_KEY",
    "require_https": True,
}
if "CLS_CA_FILE" in os.environ:
    options["tls_config.ca_file"] = os.environ["CLS_CA_FILE"]

url = f"https://{os.environ['CLS_HOST']}/prometheus/{os.environ['CLS_TOPIC']}/api/v1/write"
labels = {"job": "etl", "worker": os.environ.get("WORKER", "0")}
with promwrite.Writer(url, labels=labels, options=options) as writer:
    writer.append("rows_loaded_total", 1200, {"stage": "load"})
    report = writer.flush(timeout=10)

print(report)
sys.exit(0 if report else 1)
