"""The words of the generated shop: what its categories, goods, themes and brands are called.

Each entry is (English, Chinese). Words of a category are shared by its goods, and themes by all
goods, so that a title says something about what else its readers like.
"""

from typing import NamedTuple

Word = tuple[str, str]


class Category(NamedTuple):
    """A department: the month (1-12) it peaks in, its brands, its qualities and its goods."""

    word: Word
    peak_month: float
    consumable: bool
    brands: tuple[str, ...]
    qualities: tuple[Word, ...]
    goods: tuple[tuple[str, str, float], ...]  # English, Chinese, usual price in yuan


THEMES: tuple[Word, ...] = (
    ("Travel", "旅行"), ("Business", "商务"), ("Gaming", "电竞"), ("Kids", "儿童"),
    ("Retro", "复古"), ("Minimalist", "简约"), ("Outdoor", "户外"), ("Luxury", "轻奢"),
    ("Eco-Friendly", "环保"), ("Cute", "可爱"), ("Student", "学生"), ("Festival", "节日"),
)  # fmt: skip

CATEGORIES: tuple[Category, ...] = (
    Category(
        ("Electronics", "数码"), 11, False, ("Xinghe", "Novatek", "Lumo"),
        (("Slim", "轻薄"), ("5G", "5G"), ("Long Battery", "长续航"), ("HD", "高清")),
        (("Phone", "手机", 2999), ("Tablet", "平板电脑", 2199), ("Laptop", "笔记本电脑", 5499),
         ("Camera", "相机", 3899), ("Smart Watch", "智能手表", 1299)),
    ),
    Category(
        ("Accessories", "配件"), 12, False, ("Ankora", "Weiyin", "Pebble"),
        (("Wireless", "无线"), ("Bluetooth", "蓝牙"), ("Magnetic", "磁吸"), ("Foldable", "折叠")),
        (("Protective Case", "保护壳", 49), ("Charger", "充电器", 99), ("Earphones", "耳机", 299),
         ("Keyboard", "键盘", 259), ("Power Bank", "移动电源", 149)),
    ),
    Category(
        ("Books", "图书"), 9, False, ("Moyan Press", "Riverbank", "Green Lamp"),
        (("Illustrated", "插图"), ("Bestselling", "畅销"), ("Classic", "经典"), ("Pocket", "口袋")),
        (("Novel", "小说", 45), ("Cookbook", "菜谱", 59), ("Picture Book", "绘本", 39),
         ("Guide Book", "指南", 55), ("Textbook", "教材", 79)),
    ),
    Category(
        ("Home", "家居"), 3, False, ("Muji House", "Anju", "Nordhem"),
        (("Cotton", "纯棉"), ("Soft", "柔软"), ("Adjustable", "可调节"), ("Bamboo", "竹制")),
        (("Desk Lamp", "台灯", 129), ("Pillow", "枕头", 99), ("Storage Box", "收纳箱", 69),
         ("Curtain", "窗帘", 199), ("Office Chair", "办公椅", 699)),
    ),
    Category(
        ("Kitchen", "厨房"), 1, False, ("Supora", "Chuyi", "Kettler"),
        (("Stainless Steel", "不锈钢"), ("Ceramic", "陶瓷"), ("Smart", "智能"), ("Mini", "迷你")),
        (("Rice Cooker", "电饭煲", 399), ("Coffee Machine", "咖啡机", 899),
         ("Frying Pan", "煎锅", 159), ("Kettle", "水壶", 119), ("Lunch Box", "饭盒", 59)),
    ),
    Category(
        ("Sports", "运动"), 5, False, ("Lingpao", "Peakline", "Vento"),
        (("Breathable", "透气"), ("Lightweight", "轻便"), ("Waterproof", "防水"),
         ("Professional", "专业")),
        (("Running Shoes", "跑步鞋", 499), ("Yoga Mat", "瑜伽垫", 119), ("Tent", "帐篷", 599),
         ("Bicycle", "自行车", 1599), ("Backpack", "双肩包", 269)),
    ),
    Category(
        ("Clothing", "服装"), 10, False, ("Yunshang", "Linen & Co", "Harbor"),
        (("Warm", "保暖"), ("Silk", "真丝"), ("Loose", "宽松"), ("Knitted", "针织")),
        (("Down Jacket", "羽绒服", 799), ("T-Shirt", "短袖", 89), ("Dress", "连衣裙", 299),
         ("Swimsuit", "泳衣", 189), ("Scarf", "围巾", 129)),
    ),
    Category(
        ("Beauty", "美妆"), 7, True, ("Baihua", "Aurelle", "Dewy"),
        (("Moisturizing", "保湿"), ("Gentle", "温和"), ("Fragrant", "香氛"), ("Herbal", "草本")),
        (("Sunscreen", "防晒霜", 129), ("Face Cream", "面霜", 199), ("Shampoo", "洗发水", 69),
         ("Lipstick", "口红", 159), ("Face Mask", "面膜", 89)),
    ),
    Category(
        ("Food", "食品"), 2, True, ("Chashan", "Daily Grain", "Cocoa Lane"),
        (("Organic", "有机"), ("Roasted", "烘焙"), ("Sugar-Free", "无糖"), ("Gift-Boxed", "礼盒")),
        (("Coffee Beans", "咖啡豆", 88), ("Green Tea", "绿茶", 128), ("Oatmeal", "燕麦", 49),
         ("Nuts", "坚果", 79), ("Chocolate", "巧克力", 66)),
    ),
    Category(
        ("Baby", "母婴"), 6, True, ("Tongxin", "Little Oak", "Bebe"),
        (("Newborn", "新生儿"), ("Hypoallergenic", "低敏"), ("Washable", "可水洗"),
         ("Large", "大号")),
        (("Diapers", "纸尿裤", 119), ("Baby Bottle", "奶瓶", 79), ("Baby Lotion", "婴儿润肤露", 65),
         ("Building Blocks", "积木", 149), ("Baby Wipes", "婴儿湿巾", 39)),
    ),
)  # fmt: skip

FOLLOWERS: dict[str, tuple[str, ...]] = {
    "Phone": ("Protective Case", "Earphones", "Power Bank"),
    "Tablet": ("Protective Case", "Keyboard", "Picture Book"),
    "Laptop": ("Keyboard", "Office Chair", "Backpack"),
    "Camera": ("Tent", "Guide Book", "Power Bank"),
    "Smart Watch": ("Running Shoes", "Charger", "Bicycle"),
    "Protective Case": ("Charger", "Earphones"),
    "Charger": ("Power Bank", "Smart Watch"),
    "Earphones": ("Charger", "Yoga Mat", "Novel"),
    "Keyboard": ("Office Chair", "Desk Lamp"),
    "Power Bank": ("Backpack", "Camera"),
    "Novel": ("Green Tea", "Desk Lamp", "Pillow"),
    "Cookbook": ("Frying Pan", "Rice Cooker", "Oatmeal"),
    "Picture Book": ("Building Blocks", "Novel"),
    "Guide Book": ("Backpack", "Sunscreen", "Camera"),
    "Textbook": ("Desk Lamp", "Laptop", "Backpack"),
    "Desk Lamp": ("Office Chair", "Textbook"),
    "Pillow": ("Curtain", "Face Mask"),
    "Storage Box": ("Curtain", "Lunch Box"),
    "Curtain": ("Pillow", "Storage Box"),
    "Office Chair": ("Coffee Machine", "Desk Lamp"),
    "Rice Cooker": ("Lunch Box", "Frying Pan"),
    "Coffee Machine": ("Coffee Beans", "Chocolate"),
    "Frying Pan": ("Cookbook", "Kettle"),
    "Kettle": ("Green Tea", "Baby Bottle"),
    "Lunch Box": ("Storage Box", "Nuts"),
    "Running Shoes": ("T-Shirt", "Smart Watch", "Earphones"),
    "Yoga Mat": ("T-Shirt", "Nuts"),
    "Tent": ("Backpack", "Down Jacket", "Kettle"),
    "Bicycle": ("Running Shoes", "Sunscreen"),
    "Backpack": ("Guide Book", "Tent"),
    "Down Jacket": ("Scarf", "Face Cream"),
    "T-Shirt": ("Running Shoes", "Dress"),
    "Dress": ("Lipstick", "Scarf"),
    "Swimsuit": ("Sunscreen", "Yoga Mat"),
    "Scarf": ("Lipstick", "Down Jacket"),
    "Sunscreen": ("Swimsuit", "Face Mask"),
    "Face Cream": ("Face Mask", "Lipstick"),
    "Shampoo": ("Face Cream", "Baby Lotion"),
    "Lipstick": ("Dress", "Shampoo"),
    "Face Mask": ("Face Cream", "Shampoo"),
    "Coffee Beans": ("Chocolate", "Coffee Machine"),
    "Green Tea": ("Nuts", "Kettle"),
    "Oatmeal": ("Nuts", "Coffee Beans"),
    "Nuts": ("Chocolate", "Oatmeal"),
    "Chocolate": ("Green Tea", "Novel"),
    "Diapers": ("Baby Wipes", "Baby Bottle", "Baby Lotion"),
    "Baby Bottle": ("Kettle", "Diapers"),
    "Baby Lotion": ("Shampoo", "Baby Wipes"),
    "Building Blocks": ("Picture Book", "Storage Box"),
    "Baby Wipes": ("Diapers", "Building Blocks"),
}  # what is wanted once a good has been looked at
