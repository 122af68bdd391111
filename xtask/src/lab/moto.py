# moto's server, which looks at the signature of every request once it was told to ask for keys: botocore's own code
# computes it anew. For a request without a body it takes the query for one, which no signer does; hence this file.
import sys

from moto.iam import access_control
from moto.server import main

make = access_control.IAMRequestBase.__init__


def without_query_as_body(self, *args, **kwargs):
    make(self, *args, **{**kwargs, "data": {}})


access_control.IAMRequestBase.__init__ = without_query_as_body
main(sys.argv[1:])
